"""Conditional requests: what a client already has is not sent again (RFC 9110, section 13)."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from django.utils.http import parse_etags
from rest_framework.request import Request

from agentapp.api.problems import Problem

# A client may keep what has a tag, and asks each time whether it still holds.
KEPT_BY_CLIENTS = {"Cache-Control": "private, no-cache"}
TAG_DIGITS = 32


def tag(value: Any) -> str:
    """Return a tag for a JSON value that is shown whole: of equal tags all is equal."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return f'"{hashlib.sha256(text.encode()).hexdigest()[:TAG_DIGITS]}"'


def weak_tag(value: Any) -> str:
    """Return a tag for what is news in a JSON value: answers with equal tags say the same."""
    return f"W/{tag(value)}"


def is_asked(request: Request) -> bool:
    """Tell whether a change is only to be made of what the client has read."""
    return "If-Match" in request.headers


def check_match(request: Request, etag: str) -> None:
    """Raises Problem where the client has read something else: If-Match, in which a weak tag names nothing."""
    named = parse_etags(request.headers.get("If-Match", ""))
    if named != ["*"] and etag not in named:
        raise Problem("precondition-failed", "This is not what If-Match names: it was changed since. Read it again.")


def is_known(request: Request, etag: str) -> bool:
    """Tell whether the client has what `etag` names: If-None-Match, where a weak tag is as good as a strong one."""
    known = parse_etags(request.headers.get("If-None-Match", ""))
    return known == ["*"] or etag.removeprefix("W/") in [item.removeprefix("W/") for item in known]


def range_holds(request: Request, etag: str) -> bool:
    """Tell whether a range may be answered: If-Range names just this content. A date names none of ours."""
    wanted = request.headers.get("If-Range", "").strip()
    return not wanted or wanted == etag
