"""/tasks/{id}/artifacts and /artifacts/{id}: what jobs have stored, byte for byte."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

from django.core.files import File
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpResponse, StreamingHttpResponse
from django.utils.http import content_disposition_header
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from agentapp.api import conditional, pages, query, ranges, shapes
from agentapp.api.answers import tasks as answers
from agentapp.api.contract.operation import Operation, file, nothing, page
from agentapp.api.endpoint import Endpoint, JsonOnly, identifier
from agentapp.lifecycle import database
from agentapp.models import Artifact
from agentapp.policies.permissions import PAYLOADS
from agentapp.services import artifacts

CONTENT_HEADERS = ("ETag", "Accept-Ranges", "Content-Disposition")
PIECE_BYTES = 64 * 1024
OPAQUE = "application/octet-stream"
_MEDIA_TYPE = re.compile(r"[\w.+-]+/[\w.+-]+(;\s*[\w-]+=[\w.-]+)*", re.ASCII)
# Whatever a browser makes of a job's output, it is no page of ours.
SANDBOX = "default-src 'none'; sandbox; frame-ancestors 'none'"


class TaskArtifacts(Endpoint):
    """GET /tasks/{id}/artifacts, in the order in which they were written."""

    scopes = {"GET": "tasks:read"}
    contract = {
        "GET": Operation(
            "list_task_artifacts",
            "List what the jobs of a task have stored, oldest first",
            query=query.Page,
            answers={200: page(answers.Artifact)},
        )
    }

    def get(self, request: Request, task_id: str) -> Response:
        wanted = query.read(request, query.Page)
        rows = artifacts.of_task(self.principal, identifier(task_id, noun="task"))
        return pages.page(request, rows, wanted, shapes=shapes.each(shape), order=pages.OLDEST_FIRST)


class AnyType(JsonOnly):
    """The content has the type that it has."""

    def select_renderer(
        self, request: Request, renderers: Any, format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        return renderers[0], OPAQUE


class OneArtifact(Endpoint):
    """GET /artifacts/{id}: its content, or a range of it."""

    scopes = {"GET": "tasks:read"}
    contract = {
        "GET": Operation(
            "get_artifact",
            "Read the content of an artifact",
            answers={
                200: file("The whole content.", *CONTENT_HEADERS),
                206: file("The bytes that were asked for.", *CONTENT_HEADERS, "Content-Range"),
                304: nothing("You have it.", "ETag"),
            },
            headers={
                "Range": "Which bytes, such as `bytes=0-1023`.",
                "If-Range": "The `ETag` of the content that the range is of; another content is sent as a whole.",
                "If-None-Match": "The `ETag` of the content that you have.",
            },
            problems=("content-missing", "range-not-satisfiable"),
        )
    }
    content_negotiation_class = AnyType

    def get(self, request: Request, artifact_id: str) -> HttpResponse | StreamingHttpResponse:
        artifact = artifacts.get(self.principal, identifier(artifact_id, noun="artifact"))
        self.principal.require(PAYLOADS, artifact.tenant_id)
        headers = _headers(artifact)
        if conditional.is_known(request, headers["ETag"]):
            return HttpResponse(status=304, headers=headers)
        wanted = None
        if conditional.range_holds(request, headers["ETag"]):
            wanted = ranges.read(request.headers.get("Range", ""), size=artifact.size)
        if wanted is not None:
            headers["Content-Range"] = str(wanted)
        start, length = (wanted.start, len(wanted)) if wanted else (0, artifact.size)
        headers["Content-Length"] = str(length)
        status = 206 if wanted else 200
        file = artifacts.open_content(artifact)
        if request.method == "HEAD":
            file.close()
            return HttpResponse(status=status, headers=headers)
        return _stream(request, file, start=start, length=length, status=status, headers=headers)


def shape(row: Artifact) -> answers.Artifact:
    return {
        "id": str(row.pk),
        "task": str(row.workflow_id) if row.workflow_id else None,
        "job": str(row.job_id) if row.job_id else None,
        "name": row.name,
        "media_type": row.media_type,
        "size": row.size,
        "sha256": row.sha256,
        "created_at": shapes.time(row.created_at),
    }


def _headers(artifact: Artifact) -> dict[str, str]:
    media_type = artifact.media_type if _MEDIA_TYPE.fullmatch(artifact.media_type) else OPAQUE
    return {
        "Content-Type": media_type,
        "Content-Disposition": content_disposition_header(True, file_name(artifact)) or "attachment",
        "Content-Security-Policy": SANDBOX,
        "X-Content-Type-Options": "nosniff",
        "ETag": f'"{artifact.sha256}"',
        "Accept-Ranges": "bytes",
        **conditional.KEPT_BY_CLIENTS,
    }


def file_name(artifact: Artifact) -> str:
    """Return a name to save it under: no folder, no sign that would show the name as another."""
    shown = "".join(sign if sign.isprintable() and sign not in '/\\:"' else "_" for sign in artifact.name)
    return shown.strip(" .") or str(artifact.pk)


def _stream(
    request: Request, file: File[bytes], *, start: int, length: int, status: int, headers: dict[str, str]
) -> StreamingHttpResponse:
    """Answer piece by piece. Django's ASGI handler would gather what an iterator of the other kind gives."""
    is_async = isinstance(request._request, ASGIRequest)
    content = _pieces_async(file, start, length) if is_async else _pieces(file, start, length)
    response = StreamingHttpResponse(content, status=status, headers=headers)
    response._resource_closers.append(file.close)  # type: ignore[attr-defined]
    # Over a slow line it takes minutes, in which others need the connection.
    database.release()
    return response


def _pieces(file: File[bytes], start: int, length: int) -> Iterator[bytes]:
    file.seek(start)
    while length and (piece := file.read(min(PIECE_BYTES, length))):
        length -= len(piece)
        yield piece


async def _pieces_async(file: File[bytes], start: int, length: int) -> AsyncIterator[bytes]:
    pieces = _pieces(file, start, length)
    # In a thread: a disk that is slow must not hold up the other requests.
    while piece := await asyncio.to_thread(next, pieces, b""):
        yield piece
