"""A task as a test sees it: values, read once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from agentapp.models import Approval, Workflow
from agentapp.models import Job as Row

Json = dict[str, Any]


@dataclass(frozen=True)
class ToolResult:
    """What came of a call: the status is `ok`, `error` or another word of docs/howto/add_a_tool.md."""

    tool: str
    status: str
    text: str


@dataclass(frozen=True)
class Job:
    """A job: `attempt` says how often it was claimed, `error` is {"class", "message", ...} or None."""

    type: str
    part: int
    state: str
    attempt: int
    payload: Json
    output: Json
    error: Json | None


@dataclass(frozen=True)
class Task:
    """A task, its jobs in the order of the plan, and the content that a person is asked about first, or None.

    `asked` has a line for each open question: its summary, where a job asks.
    """

    id: UUID
    kind: str
    state: str
    result: Json
    jobs: tuple[Job, ...]
    approval: Json | None
    asked: tuple[str, ...] = ()

    @classmethod
    def read(cls, task_id: UUID) -> Task:
        row = Workflow.objects.get(pk=task_id)
        jobs = Row.objects.filter(workflow=row).exclude(state="pending").order_by("stage__position", "part")
        asked = Approval.objects.filter(workflow=row, state="pending").order_by("id")
        return cls(
            row.pk, row.kind, row.state, row.result or {}, tuple(_job(job) for job in jobs),
            asked.values_list("content", flat=True).first(), tuple(asked.values_list("summary", flat=True)),
        )  # fmt: skip

    @property
    def job(self) -> Job:
        """Its only job."""
        (only,) = self.jobs
        return only

    @property
    def output(self) -> Json:
        """What its only job has returned."""
        assert self.job.state == "completed", self.why
        return self.job.output

    def of_type(self, job_type: str) -> list[Job]:
        return [job for job in self.jobs if job.type == job_type]

    @property
    def tool_results(self) -> list[ToolResult]:
        """The results of an agent's calls, in order."""
        done = [job.output for job in self.of_type("run_tool") if job.state == "completed"]
        return [ToolResult(output["tool"], output["status"], output.get("text", "")) for output in done]

    @property
    def why(self) -> str:
        """What its jobs have come to, for the message of an assertion."""
        lines = [f"{self.kind}: {self.state}"]
        for job in self.jobs:
            said = f": {job.error['class']}: {job.error['message']}" if job.error else ""
            lines.append(f"  {job.type} {job.part}: {job.state}{said}")
        lines += [f"  a person is asked: {summary or 'to approve'}" for summary in self.asked]
        return "\n".join(lines)


def _job(row: Row) -> Job:
    return Job(row.type, row.part, row.state, row.attempt, row.payload or {}, row.output or {}, row.error)
