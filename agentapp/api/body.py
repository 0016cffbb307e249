"""Read a request's body: JSON only, of a bounded size, exactly as its schema says."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from typing import Any, TypeVar

import pydantic
from django.conf import settings
from rest_framework.request import Request

from agentapp.api import packing
from agentapp.api.problems import Problem
from agentapp.policies import json_names, sentences, storable
from agentapp.policies.sentences import FieldErrors

# Far more than a row may hold, and less than Python takes.
DEEPEST = 400
# Strings are taken whole: a bracket inside of one nests nothing.
_BRACKETS = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)
Schema = TypeVar("Schema", bound=pydantic.BaseModel)
# Of a whole number; Python reads about 4,000, Postgres about 130,000.
MOST_DIGITS = 1_000
MoreProblems = Callable[[dict[str, Any]], FieldErrors]


def read(request: Request, schema: type[Schema], *, more: MoreProblems | None = None) -> Schema:
    """Return the body as `schema`; an empty body counts as an object without fields.

    All that is wrong is said at once: `more` finds what a service would refuse.

    Raises:
        Problem: 413 too large, 415 not JSON by its type, 400 not JSON by its text, 422 not what the schema asks for.
    """
    _, value = received(request)
    if not isinstance(value, dict):
        raise Problem("invalid-input", 'The body must be a JSON object: {"field": value, ...}.')
    return checked(value, schema, more=more)


def received(request: Request) -> tuple[bytes, Any]:
    """Return the body as it was before it was packed, and the JSON that it holds; an empty one holds {}.

    Raises:
        Problem: 413 too large, 415 not JSON by its type, 400 not JSON by its text.
    """
    raw = _bytes(request)
    return raw, _parsed(raw, request.content_type) if raw else {}


def checked(value: dict[str, Any], schema: type[Schema], *, more: MoreProblems | None = None) -> Schema:
    """Return an object as `schema`; `more` as in `read`.

    Raises:
        Problem: 422 not what the schema asks for.
    """
    found = sentences.entries(storable.problems(value))
    try:
        read = schema.model_validate(value)
    except pydantic.ValidationError as error:
        found += _new(found, sentences.field_errors(error))
    if not found:
        return read
    if more is not None:
        found += _new(found, more(value))
    raise Problem("invalid-input", sentences.detail(found), errors=found)


def _new(known: FieldErrors, found: FieldErrors) -> FieldErrors:
    """Leave out what is said of a field already."""
    named = {item["field"] for item in known}
    return [item for item in found if item["field"] not in named]


def _bytes(request: Request) -> bytes:
    limit: int = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    is_packed = packing.is_packed(request.headers.get("Content-Encoding", ""))
    raw = unread(request, limit)
    if is_packed and len(raw) <= limit:
        raw = packing.unpack(raw, most_bytes=limit + 1)
    if len(raw) > limit:
        raise too_large(limit)
    return raw


def unread(request: Request, limit: int) -> bytes:
    """Return the body, or its first `limit` + 1 bytes."""
    # Not request.body: it trusts the Content-Length header, which a chunked request does not have.
    found: bytes = request._request.read(limit + 1)
    return found


def too_large(limit: int) -> Problem:
    """Say that a body has more than `limit` bytes."""
    return Problem("body-too-large", f"The body may have {limit:,} bytes. Send less, or send it in several requests.")


def media_type(content_type: str) -> str:
    """Return a media type without its parameters, in lower case."""
    return content_type.partition(";")[0].strip().lower()


def _parsed(raw: bytes, content_type: str) -> Any:
    if media_type(content_type) != "application/json":
        sent = f"not {content_type}" if content_type else "and say so"
        raise Problem("unsupported-media-type", f"Send JSON, {sent}: `Content-Type: application/json`.")
    if is_too_deep(raw):
        raise Problem("invalid-input", "The body is nested too deeply. Flatten it.")
    try:
        return json.loads(
            raw.decode(),
            parse_constant=_refuse,
            parse_float=_finite,
            parse_int=_whole,
            object_pairs_hook=json_names.unique,
        )
    except json_names.NameTwice as error:
        raise Problem("malformed-json", f"The body cannot be understood: {error}.") from error
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise Problem("malformed-json", f"The body is not JSON ({where}: {error.msg}). Correct it there.") from error
    except UnicodeDecodeError as error:
        raise Problem("malformed-json", f"Byte {error.start} of the body is not UTF-8. Encode it as UTF-8.") from error
    except RecursionError as error:
        raise Problem("malformed-json", "The body is nested too deeply. Flatten it.") from error
    except ValueError as error:
        raise Problem("malformed-json", f"A number in the body cannot be read: {error}.") from error


def is_too_deep(raw: bytes) -> bool:
    """Tell whether JSON that closes all that it opens is nested more deeply than a reader's stack may be high.

    How deep that is depends on who has called it, so it is not left to the reader to find out.
    """
    if raw.count(b"[") + raw.count(b"{") <= DEEPEST:
        return False
    depth = deepest = 0
    for token in _BRACKETS.finditer(raw):
        depth += {b"[": 1, b"{": 1, b"]": -1, b"}": -1}.get(token[0], 0)
        deepest = max(deepest, depth)
    return depth == 0 and deepest > DEEPEST


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


def _whole(text: str) -> int:
    # Python's own words about this are for programmers.
    if len(text) > MOST_DIGITS:
        raise ValueError(f"{text[:40]}... has {len(text):,} digits")
    return int(text)


def _finite(text: str) -> float:
    if math.isinf(number := float(text)):
        raise ValueError(f"{text[:40]} is too large")
    return number
