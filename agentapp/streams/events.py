"""What a client is told: one shape for each type of event. Nothing internal: no payload, no worker, no trace.

`Data` is what stands in an event's `data`, in the API and in every client of ours.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from typing_extensions import TypedDict

from agentapp.policies import moments
from agentapp.states import WORKFLOW_FINAL, JobState

Type = Literal["task", "job", "blocked", "approval", "notice", "done", "delta", "reset", "end", "ping"]
Json = dict[str, Any]
SHOWN_OF_A_BLOCKER = ("type", "scope", "name", "why", "reason", "by", "until", "since", "limit", "running")


class JobRef(TypedDict):
    """The job that an event is about."""

    id: str
    type: str
    stage: str
    part: int


class Change(TypedDict):
    """What every event that has a number tells: number `seq` of `task`, a change of state."""

    task: str
    seq: int
    at: str
    state: str
    before: str | None
    reason: str | None


class TaskData(Change):
    """`task`: the task changed its state."""


class DoneData(Change):
    """`done`: the task has ended. The last event of its history."""

    result: Json | None
    error: Json | None


class JobData(Change):
    """`job`: a job changed its state. `error` has the class and the kind of its last failure."""

    job: JobRef
    attempt: int | None
    error: Json | None
    retry_at: str | None


class BlockedData(Change):
    """`blocked`: a worker wanted a job, and gates did not let it pass."""

    job: JobRef
    blocked_by: list[Json]


class ApprovalData(Change):
    """`approval`: a decision was opened, or taken."""

    approval: str


class NoticeData(Change):
    """`notice`: a person tells the client something about a dead letter. The state of the task stays as it is."""

    text: str
    job: str


class DeltaData(TypedDict):
    """`delta`: text of a running job as it is written. `offset` counts characters; at 0 the text begins."""

    task: str
    job: str
    attempt: int
    offset: int
    text: str


class EndData(TypedDict):
    """`end`: the stream ends. After `done` there is nothing to come; after `time` connect again; `access`: the key or
    the person may not read this any longer."""

    reason: Literal["done", "time", "access"]


@dataclass(frozen=True, slots=True)
class Event:
    """One event as it is sent: `id` is the place to resume after, None where it changes no place."""

    type: Type
    data: str
    id: str | None = None


# What the client knows is not what happened here: it forgets it, and what comes next is from the start.
RESET = Event("reset", "{}", "0")
PING = Event("ping", "{}")


def of_history(task: str, row: Mapping[str, Any], *, place: str | None = None) -> Event:
    """Return the event that a row of the history is; `row` as agentapp.lifecycle reads it.

    Its id is `place`, or else its number within its task.
    """
    kind, more = _kind(row)
    data: Json = {
        "task": task,
        "seq": row["seq"],
        "at": time(row["at"]),
        "state": row["to"],
        "before": row["from"] or None,
        "reason": row["reason"] or None,
        **more,
    }
    return Event(kind, rendered(data), place or str(row["seq"]))


def of_text(task: str, job: str, attempt: int, offset: int, text: str, *, after: int) -> Event:
    """Return text as it is written; it has the place of the event before it, and none of its own."""
    data: DeltaData = {"task": task, "job": job, "attempt": attempt, "offset": offset, "text": text}
    return Event("delta", rendered(data), str(after))


def _kind(row: Mapping[str, Any]) -> tuple[Type, Json]:
    noted = row["data"] or {}
    if row["noun"] == "workflow" and noted.get("notice"):
        return "notice", {"text": row["reason"], "job": noted["job"]}
    if row["noun"] == "workflow":
        return ("done", row["end"]) if row["to"] in WORKFLOW_FINAL else ("task", {})
    if row["noun"] == "approval":
        return "approval", {"approval": row["approval"]}
    if row["to"] == JobState.SCHEDULED and noted.get("blocked_by"):
        return "blocked", {"job": row["job"], "blocked_by": [_blocker(item) for item in noted["blocked_by"]]}
    return "job", {
        "job": row["job"],
        "attempt": noted.get("attempt"),
        "error": noted.get("error"),
        "retry_at": time(noted.get("retry_at")),
    }


def _blocker(reason: Json) -> Json:
    shown = {name: reason[name] for name in SHOWN_OF_A_BLOCKER if name in reason}
    return shown | {name: time(shown[name]) for name in ("until", "since") if name in shown}


def time(moment: str | None) -> str | None:
    """Return a moment of Postgres's JSON as the API writes it: 2025-01-31T08:00:00.123456Z."""
    return moments.written(datetime.fromisoformat(moment)) if moment else None


def rendered(data: Any) -> str:
    """Return JSON on one line, as it stands behind `data:`."""
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"))
