"""Read a file from a request: it is the body itself, or a field of a form."""

from __future__ import annotations

from email.message import Message
from typing import Any

from django.core.exceptions import SuspiciousOperation
from django.http.multipartparser import MultiPartParserError
from rest_framework.request import Request

from agentapp import conf
from agentapp.api import body, query
from agentapp.api.problems import Problem
from agentapp.policies.file_types import MEDIA_TYPES
from agentapp.services.uploads import File

FORM = "multipart/form-data"
FIELDS = ("source", "title", "collection")
LONGEST_CHARSET = 40
# For the OpenAPI document: a form, or the bytes.
BODIES: dict[str, Any] = {
    FORM: {
        "type": "object",
        "required": ["file"],
        "properties": {
            "file": {"type": "string", "format": "binary", "description": "the file"},
            "source": {"type": "string", "description": "else the name of the file"},
            "title": {"type": "string", "description": "else the title in the file, or its name"},
            "collection": {"type": "string", "description": "else the one that it is in, or `default`"},
        },
    },
    **{media_type: {} for media_type in MEDIA_TYPES.values()},
}


def is_sent(request: Request) -> bool:
    """Tell whether the body is something else than JSON; a request without a body has no type."""
    return body.media_type(request.content_type) not in ("", "application/json")


def takes_no_name(named: query.Upload) -> None:
    """Raises Problem where the address names a file whose names stand in the body."""
    if found := [name for name, value in named if value]:
        raise Problem(
            "bad-query",
            f"Here {found[0]} stands in the body, not in the address.",
            errors=[{"field": name, "message": "Put it into the body."} for name in found],
        )


def read(request: Request, named: query.Upload) -> File:
    """Return the file of a request; `named` is what its address says of it.

    Raises:
        Problem: 413 too large, 415 packed, 400 no form that can be read, 422 no file or several, or unknown fields.
    """
    if request.headers.get("Content-Encoding", "identity").strip().lower() not in ("", "identity"):
        raise Problem("unsupported-media-type", "Send a file as it is, without a Content-Encoding.")
    if body.media_type(request.content_type) == FORM:
        takes_no_name(named)
        return _of_form(request)
    limit = conf.upload_max_bytes()
    data = body.unread(request, limit)
    if len(data) > limit:
        raise body.too_large(limit)
    declared = _header("Content-Type", request.content_type)
    source = named.source or str(
        _header("Content-Disposition", request.headers.get("Content-Disposition", "")).get_filename("")
    )
    if not source.strip():
        raise _invalid("source", "Name the file: `?source=refunds.pdf`.")
    return File(
        data, source, declared.get_content_type() if request.content_type else "",
        _charset(declared.get_content_charset()), named.title, named.collection,
    )  # fmt: skip


def _of_form(request: Request) -> File:
    plain = request._request
    try:
        fields, files = plain.POST, plain.FILES
    except MultiPartParserError as error:
        raise Problem("bad-request", f"The form cannot be read: {error}.") from error
    except SuspiciousOperation as error:
        words = "The form has too many fields, or too long ones. Send file, source, title and collection."
        raise Problem("bad-request", words) from error
    unknown = sorted({*fields, *files} - {*FIELDS, "file"})
    if unknown:
        raise _invalid(unknown[0], "There is no such field: send file, source, title and collection.")
    sent = files.getlist("file")
    if len(sent) != 1:
        raise _invalid("file", f"Send one file in this field; there are {len(sent)}.")
    if (sent[0].size or 0) > conf.upload_max_bytes():
        raise body.too_large(conf.upload_max_bytes())
    named = {name: fields.get(name, "") for name in FIELDS}
    source = named.pop("source") or sent[0].name or ""
    return File(sent[0].read(), source, sent[0].content_type or "", _charset(sent[0].charset), **named)


def _header(name: str, value: str) -> Message:
    """Return a header whose parameters can be read."""
    found = Message()
    found[name] = "".join(sign for sign in value if sign.isprintable())
    return found


def _charset(declared: str | bytes | None) -> str:
    """Return the name of a character set as it can be stored; Django gives that of a part of a form as bytes."""
    name = declared.decode("ascii", "replace") if isinstance(declared, bytes) else declared or ""
    return "".join(sign for sign in name if sign.isprintable())[:LONGEST_CHARSET]


def _invalid(field: str, sentence: str) -> Problem:
    return Problem("invalid-input", f"{field}: {sentence}", errors=[{"field": field, "message": sentence}])
