"""The calls of tools that an agent has made, as the page of its task shows them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.core.paginator import Page, Paginator
from django.http import HttpRequest

from agentapp import ids
from agentapp.admin import cells
from agentapp.models import Job, Workflow
from agentapp.tools.conversation import RESULTS

NAME = "tools"


@dataclass(frozen=True)
class ToolCall:
    """A job that runs a call. Its payload and its output may be what a person has typed."""

    pk: UUID
    name: str
    state: str
    started_at: datetime | None
    finished_at: datetime | None
    arguments: Any
    output: Any

    @property
    def headline(self) -> str:
        return cells.headline(self.arguments) if self.arguments else ""

    @property
    def status(self) -> str:
        return str(self._said("status") or "-")

    @property
    def text(self) -> str:
        return str(self._said("text"))

    @property
    def text_id(self) -> UUID | None:
        return ids.parsed(str(self._said("text_id")))

    def _said(self, name: str) -> Any:
        return self.output.get(name, "") if isinstance(self.output, dict) else ""


def of(request: HttpRequest, task: Workflow, *, size: int) -> Page[ToolCall]:
    """One page of the calls, in the order of the turns; `?tools=2` asks for the second."""
    rows = Job.objects.filter(workflow=task, type=RESULTS).order_by("stage__position", "part", "id")
    found: Any = Paginator(rows, size).get_page(request.GET.get(NAME))
    found.object_list = [_call(job) for job in found.object_list]
    return found  # type: ignore[no-any-return]


def _call(job: Job) -> ToolCall:
    payload = job.payload if isinstance(job.payload, dict) else {}
    call = payload["call"] if isinstance(payload.get("call"), dict) else {}
    name = job.tool or str(call.get("tool", "")) or job.type
    return ToolCall(job.pk, name, job.state, job.started_at, job.finished_at, call.get("arguments"), job.output)
