"""What a task must do, written down a second time: plain Python, no rows, no SQL, no clock of its own.

It says nothing about how: no locks, tokens or counters behind a join other than what a reader of the glossary expects.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from agentapp.flows import Decision, FanOut, Flow, Stage, Step, When
from tests.lifecycle.model_jobs import Attempt, Job

OVER = ("completed", "failed", "cancelled")


@dataclass(eq=False)
class Position:
    """A stage of the plan; `left` is how many parts it still waits for, `output` what its lone job or its decision came
    to, as far as a condition reads it."""

    plan: Stage
    round: int = 0
    jobs: list[Job] = field(default_factory=list)
    is_open: bool = False
    is_closed: bool = False
    is_skipped: bool = False
    left: int = 0
    output: dict[str, str] = field(default_factory=dict)

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
    """`job`: the one that asks and waits; None: a decision of the plan."""

    expires: datetime | None
    state: str = "pending"
    job: Job | None = None


class Task:
    """One run. Methods are moves; each returns what the one who asked for it is told."""

    def __init__(self, flow: Flow, *, parts: int, most: int, deadline: datetime | None, now: datetime) -> None:
        self.state = "pending"
        self.parts, self.most, self.deadline = parts, most, deadline
        self.positions = [self._planned(stage) for stage in flow.stages]
        self.approvals: list[Approval] = []
        self.questions: list[Approval] = []
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

    def ask(self, job: Job, attempt: Attempt, now: datetime, *, within_s: float) -> str:
        """A body asks a person, the same each time: what was approved before is opened again."""
        if job.owner is not attempt:
            return "done before" if attempt.outcome == "handed_back" else "lost"
        job.end_attempt("handed_back", to="retryable")
        for each in self.questions:
            if each.job is job and each.state == "approved":
                each.state = "reopened"
        self.questions.append(Approval(now + timedelta(seconds=within_s), job=job))
        return "ok"

    def answer(self, question: Approval, decision: str, now: datetime, *, saw_this: bool) -> str:
        """Return "ok", or why not."""
        if question.job is None or question.state != "pending":
            return "decided"
        if question.expires and question.expires <= now:
            return "expired"
        if not saw_this:
            return "changed"
        if decision == "changes_requested":
            return "no way back"
        question.state, question.job.state = decision, "available"
        return "ok"

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
        position = next(position for position in self.positions if position.is_open and not position.is_closed)
        assert isinstance(position.plan, Decision)
        if decision == "changes_requested" and not position.plan.back_to:
            return "no way back"
        approval.state = decision
        position.output = {"decision": decision}
        if decision == "rejected" and position.plan.on_reject == "end":
            self._cancel_jobs()
            self.state = "completed"
            return "ok"
        self.state = "running"
        if decision == "changes_requested" and position.plan.back_to:
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
        else:
            for each in self.questions:
                if each.state == "pending" and each.job and each.expires and each.expires <= now:
                    each.state, each.job.state = "expired", "available"

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
        for each in self.questions:
            if each.state == "pending" and each.job and each.job.state == "cancelled":
                each.state = "cancelled"

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
        position.output = {"verdict": "revise"} if revise else {}
        repeat = position.plan.repeat
        if repeat and position.round < repeat.at_most and self._is_met(repeat.when, self.positions.index(position) + 1):
            self._repeat(position, back_to=repeat.back_to, round=position.round + 1)
        return self._advance(now, in_place=in_place, is_denied=is_denied)

    def _repeat(self, last: Position, *, back_to: str, round: int) -> None:
        end = self.positions.index(last)
        first = max(index for index in range(end + 1) if self.positions[index].plan.name == back_to)
        again = self.positions[first : end + 1]
        # A loop within this one begins anew.
        copies = [
            self._planned(each.plan, round=0 if each.plan.repeat and each is not last else round) for each in again
        ]
        self.positions[end + 1 : end + 1] = copies

    def _is_met(self, when: When, before: int) -> bool:
        """What the latest stage of that name came to, nothing where it was skipped, is as the condition says."""
        name, key = when.path.split(".")
        latest = [each for each in self.positions[:before] if each.plan.name == name][-1:]
        return any(each.output.get(key) == when.equals for each in latest)

    def _skip(self, position: Position) -> None:
        position.is_skipped = position.is_open = position.is_closed = True
        position.jobs = position.jobs or [Job(position.plan.name, self.most)]
        position.jobs[0].state = "cancelled"

    def _advance(self, now: datetime, *, in_place: bool = False, is_denied: bool = False) -> Job | None:
        """Open what comes next, or end the task; return the job that was taken at once."""
        for position in self.positions:
            if position.is_open:
                continue
            if position.plan.when and not self._is_met(position.plan.when, self.positions.index(position)):
                self._skip(position)
                continue
            position.is_open, position.left = True, 1
            if isinstance(position.plan, Step):
                (job,) = position.jobs
                job.state = "available"
                # What may not run is left for a claim, which says so.
                is_taken = in_place and not is_denied and self.claim(job, now, is_denied=False) == "claimed"
                return job if is_taken else None
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
