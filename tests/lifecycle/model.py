"""What a task must do, written down a second time: plain Python, no rows, no SQL, no clock of its own.

It says nothing about how: no locks, tokens or counters behind a join other than what a reader of the glossary expects.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from agentapp.flows import Decision, FanOut, Flow, Stage, Step

LEASE_S = 15.0
WAITS_S = (10.0, 30.0, 120.0, 600.0)
OVER = ("completed", "failed", "cancelled")


def wait_after_failure_s(attempt: int, retry_after_s: float) -> float:
    """`attempt` is the one that failed, from 1."""
    return max(retry_after_s, WAITS_S[min(attempt, len(WAITS_S)) - 1])


@dataclass(eq=False)
class Attempt:
    outcome: str = ""


@dataclass(eq=False)
class Job:
    """`owner` is the attempt that may settle it; `budget` are the attempts since the last replay."""

    type: str
    most: int
    state: str = "pending"
    attempts: list[Attempt] = field(default_factory=list)
    budget: list[Attempt] = field(default_factory=list)
    owner: Attempt | None = None
    lease_until: datetime | None = None
    due: datetime | None = None

    @property
    def counted(self) -> list[str]:
        """The outcomes of the attempts that were used up."""
        return [attempt.outcome for attempt in self.budget if attempt.outcome != "handed_back"]

    def start(self, now: datetime) -> None:
        self.owner = Attempt()
        self.attempts.append(self.owner)
        self.budget.append(self.owner)
        self.state, self.lease_until = "running", now + timedelta(seconds=LEASE_S)

    def end_attempt(self, outcome: str, *, to: str, due: datetime | None = None) -> None:
        if self.owner is not None:
            self.owner.outcome = outcome
        self.owner, self.lease_until, self.due, self.state = None, None, due, to

    def wait_after_loss_s(self) -> float:
        """At once after the first loss; as after failures when lost again and again."""
        losses = 1
        for outcome in reversed(self.counted[:-1]):
            if outcome != "lost":
                break
            losses += 1
        return WAITS_S[losses - 2] if losses > 1 else 0.0


@dataclass(eq=False)
class Position:
    """A stage of the plan; `left` is how many parts it still waits for."""

    plan: Stage
    round: int = 0
    jobs: list[Job] = field(default_factory=list)
    is_open: bool = False
    is_closed: bool = False
    left: int = 0

    @property
    def rule(self) -> str:
        return self.plan.join.rule if isinstance(self.plan, FanOut) else "all"

    @property
    def is_blocked(self) -> bool:
        """A dead letter stands in the way."""
        states = [job.state for job in self.jobs]
        if not self.is_open or self.is_closed or "dead_lettered" not in states:
            return False
        hopeful = [state for state in states if state not in ("completed", "dead_lettered", "cancelled")]
        return self.rule == "all" or (self.rule == "at_least" and self.left > len(hopeful))


@dataclass(eq=False)
class Approval:
    expires: datetime | None
    state: str = "pending"


class Task:
    """One run. Methods are moves; each returns what the one who asked for it is told."""

    def __init__(self, flow: Flow, *, parts: int, most: int, deadline: datetime | None, now: datetime) -> None:
        self.state = "pending"
        self.parts, self.most, self.deadline = parts, most, deadline
        self.positions = [self._planned(stage) for stage in flow.stages]
        self.approvals: list[Approval] = []
        self.done = 0
        self._advance(now)

    @property
    def position(self) -> int:
        """The number of the stage that is open, or was opened last."""
        return sum(each.is_open for each in self.positions)

    @property
    def left(self) -> int:
        """What the open stage still needs."""
        return sum(each.left for each in self.positions if each.is_open and not each.is_closed)

    def _planned(self, stage: Stage, *, round: int = 0) -> Position:
        return Position(stage, round, [Job(stage.job_type, self.most)] if isinstance(stage, Step) else [])

    @property
    def is_over(self) -> bool:
        return self.state in OVER

    @property
    def jobs(self) -> list[Job]:
        return [job for position in self.positions for job in position.jobs]

    def _position_of(self, job: Job) -> Position:
        return next(position for position in self.positions if job in position.jobs)

    def claim(self, job: Job, now: datetime, *, is_denied: bool) -> str:
        """Return "claimed", or why not."""
        if job.state != "available":
            return job.state
        if is_denied:
            job.state = "dead_lettered"
            self._dead_letter(job, now)
            return "permission"
        job.start(now)
        if self.state == "pending":
            self.state = "running"
        return "claimed"

    def settle(
        self, job: Job, attempt: Attempt, outcome: str, now: datetime, *, to: str = "completed", wait_s: float = 0,
        revise: bool = False, in_place: bool = False, is_denied: bool = False,
    ) -> tuple[str, Job | None]:  # fmt: skip
        """Return "ok", "done before" or "lost", and the job that was taken in place."""
        if job.owner is not attempt:
            return ("done before" if attempt.outcome == outcome else "lost"), None
        job.end_attempt(outcome, to=to, due=now + timedelta(seconds=wait_s) if to == "retryable" else None)
        taken = None
        if to == "completed":
            self.done += 1
            taken = self._close_part(job, now, revise=revise, in_place=in_place, is_denied=is_denied)
        elif to == "dead_lettered":
            self._dead_letter(job, now)
        return "ok", taken

    def lose(self, job: Job, now: datetime) -> None:
        """Its lease has run out."""
        if len(job.counted) >= job.most:
            job.end_attempt("lost", to="dead_lettered")
            self._dead_letter(job, now)
        elif wait_s := job.wait_after_loss_s():
            job.end_attempt("lost", to="retryable", due=now + timedelta(seconds=wait_s))
        else:
            job.end_attempt("lost", to="available")

    def replay(self, job: Job) -> bool:
        if job.state != "dead_lettered" or self.is_over:
            return False
        position = self._position_of(job)
        job.state, job.budget = "available", []
        if position.rule == "settled" and not position.is_closed:
            position.left += 1
        if self.state == "needs_attention" and not self._is_blocked:
            self.state = "running"
        return True

    def decide(self, decision: str, now: datetime, *, saw_this: bool) -> str:
        """Return "ok", or why not."""
        approval = self.approvals[-1]
        if approval.state != "pending":
            return "decided"
        if approval.expires and approval.expires <= now:
            return "expired"
        if not saw_this:
            return "changed"
        approval.state = decision
        if decision == "rejected":
            self._cancel_jobs()
            self.state = "completed"
            return "ok"
        self.state = "running"
        position = next(position for position in self.positions if position.is_open and not position.is_closed)
        if decision == "changes_requested" and isinstance(position.plan, Decision) and position.plan.back_to:
            self._repeat(position, back_to=position.plan.back_to, round=0)
        position.left, position.is_closed = 0, True
        self._advance(now)
        return "ok"

    def cancel(self) -> bool:
        if self.is_over:
            return False
        self._end("cancelled", approvals="cancelled")
        return True

    def expire(self, now: datetime) -> None:
        """End it if it is over its time."""
        if self.is_over:
            return
        if self.deadline and self.deadline <= now:
            self._end("failed", approvals="cancelled")
        elif any(each.state == "pending" and each.expires and each.expires <= now for each in self.approvals):
            self._end("failed", approvals="expired")

    def _end(self, state: str, *, approvals: str) -> None:
        self._cancel_jobs()
        for approval in self.approvals:
            if approval.state == "pending":
                approval.state = approvals
        self.state = state

    def _cancel_jobs(self, *, spare: str = "") -> None:
        for job in self.jobs:
            if job.state not in ("completed", "cancelled", spare):
                job.end_attempt("cancelled", to="cancelled")

    @property
    def _is_blocked(self) -> bool:
        return any(position.is_blocked for position in self.positions)

    def _dead_letter(self, job: Job, now: datetime) -> None:
        if self._position_of(job).rule == "settled":
            self._close_part(job, now)
        elif self.state in ("pending", "running") and self._is_blocked:
            self.state = "needs_attention"

    def _close_part(
        self, job: Job, now: datetime, *, revise: bool = False, in_place: bool = False, is_denied: bool = False
    ) -> Job | None:
        position = self._position_of(job)
        if position.is_closed:
            return None
        position.left -= 1
        position.is_closed = position.left <= 0
        if not position.is_closed:
            return None
        if self.state == "needs_attention" and not self._is_blocked:
            self.state = "running"
        repeat = position.plan.repeat if isinstance(position.plan, Step) else None
        if repeat and revise and position.round < repeat.at_most:
            self._repeat(position, back_to=repeat.back_to, round=position.round + 1)
        return self._advance(now, in_place=in_place, is_denied=is_denied)

    def _repeat(self, last: Position, *, back_to: str, round: int) -> None:
        end = self.positions.index(last)
        first = max(index for index in range(end + 1) if self.positions[index].plan.name == back_to)
        copies = [self._planned(each.plan, round=round) for each in self.positions[first : end + 1]]
        self.positions[end + 1 : end + 1] = copies

    def _advance(self, now: datetime, *, in_place: bool = False, is_denied: bool = False) -> Job | None:
        """Open what comes next, or end the task; return the job that was taken at once."""
        for position in self.positions:
            if position.is_open:
                continue
            position.is_open, position.left = True, 1
            if isinstance(position.plan, Step):
                (job,) = position.jobs
                job.state = "available"
                return job if in_place and self.claim(job, now, is_denied=is_denied) == "claimed" else None
            if isinstance(position.plan, Decision):
                hours = position.plan.bind.get("expires_in_s")
                self.approvals.append(Approval(now + timedelta(seconds=hours) if hours else None))
                self.state = "awaiting_approval"
                return None
            position.jobs = [Job(position.plan.job_type, self.most, "available") for _ in range(self.parts)]
            position.left = min(position.plan.join.n, self.parts) if position.rule == "at_least" else self.parts
            if self.parts:
                return None
            position.is_closed = True
        self._cancel_jobs(spare="dead_lettered")
        self.state = "completed"
        return None
