"""Conditional requests: what a client already has is not sent again (RFC 9110, section 13)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from django.utils.crypto import salted_hmac
from django.utils.http import parse_etags
from rest_framework.request import Request
from rest_framework.response import Response

from agentapp.api.problems import Problem
from agentapp.errors import IllegalMove

# A client may keep what has a tag, and asks each time whether it still holds.
KEPT_BY_CLIENTS = {"Cache-Control": "private, no-cache"}
TAG_DIGITS = 32
CHANGED = "This is not what If-Match names: it was changed since. Read it again."


def tag(value: Any) -> str:
    """Return a tag for a JSON value that is shown whole: of equal tags all is equal."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    # With a key of ours: who may not see payloads cannot guess them and see by the tag whether that was right.
    return f'"{salted_hmac(__name__, text, algorithm="sha256").hexdigest()[:TAG_DIGITS]}"'


def weak_tag(value: Any) -> str:
    """Return a tag for what is news in a JSON value: answers with equal tags say the same."""
    return f"W/{tag(value)}"


def tagged(shown: Any) -> Response:
    """Return the answer that shows a JSON value whole, with its tag."""
    return Response(shown, headers={"ETag": tag(shown), **KEPT_BY_CLIENTS})


def read(request: Request, shown: Any) -> Response:
    """The same to who reads it: 304 where the client has it."""
    answer = tagged(shown)
    return Response(status=304, headers=dict(answer.headers)) if is_known(request, answer.headers["ETag"]) else answer


@contextmanager
def as_read(request: Request, shown: Any, moment: datetime) -> Iterator[datetime | None]:
    """Let what is `shown`, and was last changed at `moment`, be changed only as the client has read it: If-Match, in
    which a weak tag names nothing.

    Yields the moment for the service; None where any version may be changed.

    Raises:
        Problem: it was changed since, before this request or during it.
    """
    named = parse_etags(request.headers.get("If-Match", "*"))
    if named == ["*"]:
        yield None
        return
    if tag(shown) not in named:
        raise Problem("precondition-failed", CHANGED)
    try:
        yield moment
    except IllegalMove as error:
        raise Problem("precondition-failed", str(error)) from error


def is_known(request: Request, etag: str) -> bool:
    """Tell whether the client has what `etag` names: If-None-Match, where a weak tag is as good as a strong one."""
    known = parse_etags(request.headers.get("If-None-Match", ""))
    return known == ["*"] or etag.removeprefix("W/") in [item.removeprefix("W/") for item in known]


def range_holds(request: Request, etag: str) -> bool:
    """Tell whether a range may be answered: If-Range names just this content. A date names none of ours."""
    wanted = request.headers.get("If-Range", "").strip()
    return not wanted or wanted == etag
