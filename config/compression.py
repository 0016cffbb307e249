"""Answers of the API are sent packed to clients that take gzip.

Pages for people are not: their size would tell what an attacker's text in them has in common with the form's secret
(BREACH). An answer of the API holds no such secret, because its key comes in a header.
"""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils.cache import patch_vary_headers
from django.utils.text import compress_string

from agentapp.policies import bounds

Handler = Callable[[HttpRequest], HttpResponseBase]

JSON = ("application/json", "application/problem+json")
# Less is not worth the work.
LEAST_BYTES = 1_000
# At random, so that even the size of an answer tells little.
PADDING_BYTES = 100


def compress_json(get_response: Handler) -> Handler:
    """Middleware: pack JSON of some size. Streams, artifacts and pages are sent as they are."""

    def handle(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        if not isinstance(response, HttpResponse) or not response.headers.get("Content-Type", "").startswith(JSON):
            return response
        patch_vary_headers(response, ("Accept-Encoding",))
        if len(response.content) < LEAST_BYTES or not _takes_gzip(request.headers.get("Accept-Encoding", "")):
            return response
        response.content = compress_string(response.content, max_random_bytes=PADDING_BYTES)
        response.headers["Content-Length"] = str(len(response.content))
        response.headers["Content-Encoding"] = "gzip"
        return response

    return handle


def _takes_gzip(header: str) -> bool:
    """Read Accept-Encoding: gzip, unless its weight is 0."""
    for part in header.lower().split(","):
        name, _, weight = part.partition(";")
        if name.strip() in ("gzip", "*"):
            return bounds.number(weight.partition("=")[2], most=1) != 0
    return False
