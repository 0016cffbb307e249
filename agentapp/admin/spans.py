"""What a run did when, read from its history: the raw material of the timeline."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Q

from agentapp import clock, registry
from agentapp.admin import stops as stops_of
from agentapp.admin.stops import Stop
from agentapp.models import Approval, History, Job, Workflow
from agentapp.runtime import failing
from agentapp.services import gates
from agentapp.services.reasons import MOST_EXPLAINED

# So many parts of each stage are drawn: a wide task has tens of thousands of rows in its history.
MOST_PARTS = 500
# What a job's state looks like on the timeline; states without an entry are not drawn.
_KIND_OF = {"available": "queued", "scheduled": "gate", "retryable": "retry", "dead_lettered": "person"}
# How a run ended, told by the state that the job was moved to.
_END_OF_RUN = {"retryable": "failed", "dead_lettered": "failed", "available": "lost", "cancelled": "failed"}
_BAD = {"failed", "lost"}
_WORDS = {
    "queued": "waited for a worker",
    "gate": "waited for a gate",
    "hold": "was held: its approval could be withdrawn",
    "running": "ran",
    "failed": "ran and failed",
    "lost": "its worker was lost",
    "retry": "waited for its next attempt",
    "person": "waited for a person",
}


@dataclass(frozen=True)
class Span:
    """A stretch in which a job or an approval was in one state; seconds since the task was submitted.

    `does`: what a job does that runs, where that is worth a colour of its own: model, tool or effect.
    """

    kind: str
    start_s: float
    end_s: float
    why: str
    does: str = ""

    @property
    def words(self) -> str:
        return _WORDS[self.kind] + (f": {self.why}" if self.why else "")


@dataclass(frozen=True)
class Track:
    """Everything that one job, or one approval, went through."""

    stage_id: int
    label: str
    spans: tuple[Span, ...]


def tracks_of(workflow: Workflow) -> list[Track]:
    """Read the history of a run, as far as it is drawn: two queries for jobs and approvals, one for the history, one
    for what stopped keys, one for what stops the jobs that queue now."""
    now = clock.now()
    moves: dict[UUID, list[Any]] = defaultdict(list)
    jobs = Job.objects.filter(workflow=workflow, part__lt=MOST_PARTS).order_by("stage__position", "part", "id")
    drawn = Q(noun="approval") | Q(noun="job", job_id__in=jobs.order_by().values("pk"))
    rows = History.objects.filter(drawn, workflow=workflow).order_by("seq")
    for row in rows.values_list("at", "to_state", "reason", "data", "job_id", "approval_id"):
        if owner := row[5] or row[4]:
            moves[owner].append(row[:4])
    tracks = []
    found = list(jobs.values_list("id", "stage_id", "type", "part", "model", "tool"))
    stopped = _stops(workflow, found)
    held = _held_by_gates(workflow, moves)
    for job_id, stage_id, kind, part, model, tool in found:
        does = "effect" if _sends(kind) else "tool" if tool else "model" if model else ""
        spans = _job_spans(moves[job_id], since=workflow.created_at, now=now, does=does)
        if job_id in held and spans[-1].kind == "queued":
            spans = (*spans[:-1], replace(spans[-1], kind="gate", why=held[job_id]))
        stops = [stop for key in _keys(workflow, kind, model, tool) for stop in stopped.get(key, ())]
        split = tuple(piece for span in spans for piece in _around(span, stops, workflow.created_at, now))
        tracks.append(Track(stage_id, f"{kind}, part {part + 1}", split))
    # What jobs have asked shows in their own tracks.
    approvals = Approval.objects.filter(workflow=workflow, job=None).order_by("id")
    for stage_id, asked, decided in approvals.values_list("stage_id", "created_at", "decided_at"):
        begin, end = _seconds(asked, workflow.created_at), _seconds(decided or now, workflow.created_at)
        tracks.append(Track(stage_id, "approval", (Span("person", begin, end, ""),)))
    return tracks


def _keys(workflow: Workflow, job_type: str, model: str, tool: str) -> list[str]:
    named = {"job_type": job_type, "tenant": str(workflow.tenant_id), "model": model, "tool": tool}
    return ["global", *(f"{scope}:{name}" for scope, name in named.items() if name)]


def _stops(workflow: Workflow, jobs: Iterable[tuple[Any, ...]]) -> Mapping[str, Sequence[Stop]]:
    keys = {key for _, _, job_type, _, model, tool in jobs for key in _keys(workflow, job_type, model, tool)}
    names = {f"tenant:{workflow.tenant_id}": workflow.tenant.slug}
    return stops_of.of_keys(keys, names=names) if keys else {}


def _held_by_gates(workflow: Workflow, moves: Mapping[UUID, list[Any]]) -> dict[UUID, str]:
    """What stops those that queue now, where it is a gate and no worker that they wait for."""
    if workflow.finished_at is not None:
        return {}
    queued = [job for job, rows in moves.items() if rows and rows[-1][1] == "available"]
    told = gates.why(queued[:MOST_EXPLAINED])
    of_gates = {job: [each for each in reasons if each.get("type") == "gate"] for job, reasons in told.items()}
    return {job: _gates({"blocked_by": reasons}) for job, reasons in of_gates.items() if reasons}


def _around(span: Span, stops: Iterable[Stop], since: datetime, now: datetime) -> Iterator[Span]:
    """Yield a wait for a worker in pieces: while a key was stopped, the job waited for that."""
    at_s = span.start_s
    for stop in sorted(stops, key=lambda stop: stop.since) if span.kind == "queued" else ():
        start_s = max(_seconds(stop.since, since), at_s)
        end_s = min(_seconds(stop.until or now, since), span.end_s)
        if start_s < end_s:
            if at_s < start_s:
                yield replace(span, start_s=at_s, end_s=start_s)
            yield replace(span, kind="gate", start_s=start_s, end_s=end_s, why=stop.words)
            at_s = end_s
    if at_s < span.end_s or at_s == span.start_s:
        yield replace(span, start_s=at_s)


def _sends(job_type: str) -> bool:
    known = registry.job_types.get(job_type)
    return known is not None and any(scope.endswith(":send") for scope in known.scopes)


def _job_spans(moves: list[Any], *, since: datetime, now: datetime, does: str) -> tuple[Span, ...]:
    spans = []
    for index, (at, state, _, data) in enumerate(moves):
        until, next_state, why, ended = moves[index + 1] if index + 1 < len(moves) else (now, "", "", None)
        kind = _KIND_OF.get(state)
        if kind == "retry" and _asks(data):
            kind = "person"
        if kind == "gate" and _is_held(data):
            kind = "hold"
        if state == "running":
            kind = "running" if _only_waits(ended) else _END_OF_RUN.get(next_state, "running")
        if kind:
            told = why if kind in _BAD else _gates(data) if kind == "gate" else ""
            what = does if kind == "running" else ""
            spans.append(Span(kind, _seconds(at, since), _seconds(until, since), told, what))
    return tuple(spans)


def _only_waits(data: dict[str, Any] | None) -> bool:
    """Whether a run was given back because it must wait, and has not failed."""
    if _asks(data):
        return True
    return ((data or {}).get("error") or {}).get("class") in failing.WAITS


def _asks(data: dict[str, Any] | None) -> bool:
    """Whether a run ended because its body asks a person."""
    return bool((data or {}).get("asks"))


def _is_held(data: dict[str, Any] | None) -> bool:
    """Whether a job only waited for the end of the send hold."""
    return any(blocker.get("type") == "hold" for blocker in (data or {}).get("blocked_by", []))


def _gates(data: dict[str, Any] | None) -> str:
    """Name what was in the way, as it was noted when the job was parked."""
    blockers = (data or {}).get("blocked_by", [])
    return ", ".join(
        " ".join(dict.fromkeys((blocker["scope"].replace("_", " "), blocker["name"]))) for blocker in blockers
    )


def _seconds(moment: datetime, since: datetime) -> float:
    return max((moment - since).total_seconds(), 0.0)


def work_in(tracks: Iterable[Track]) -> list[tuple[float, float]]:
    """The intervals in which something ran, for the time axis."""
    worked = {"running", "failed", "lost"}
    return [(span.start_s, span.end_s) for track in tracks for span in track.spans if span.kind in worked]
