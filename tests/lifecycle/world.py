"""Every move twice: on the model, which says what must come of it, and on the rows, which are held to that."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from agentapp import flows
from agentapp.clock import Clock
from agentapp.dispatch import rescuer, stager, timekeeper
from agentapp.errors import EffectUnknown, IllegalMove, LostLease, TransientError
from agentapp.flows import Flow
from agentapp.ids import uuid7
from agentapp.lifecycle import cancel, dead_letters, decide, fail, lose, make_due
from agentapp.lifecycle.ask_person import ask_person
from agentapp.lifecycle.claim import claim
from agentapp.lifecycle.complete import complete
from agentapp.lifecycle.hand_back import hand_back
from agentapp.lifecycle.opened import Claimed, Opened, Refused, Settled
from agentapp.lifecycle.submit import submit
from agentapp.models import Approval, Effect, Job, Tenant, Workflow
from agentapp.policies import retry
from agentapp.policies.classify import ErrorKind
from agentapp.policies.permissions import WORKER_CLASS_SCOPES
from agentapp.runtime import effects
from agentapp.runtime.usage import AttemptUsage
from agentapp.states import ApprovalState
from tests import kinds
from tests.lifecycle import model, model_jobs, snapshot
from tests.lifecycle.model_jobs import LEASE_S, wait_after_failure_s
from tests.lifecycle.walked_kinds import ASKED_WITHIN_S, CONTENT, HURRIED, OUTPUTS, QUESTION, TURNS

QUEUES = tuple(WORKER_CLASS_SCOPES)
REFUSALS = {
    "decided": "already", "changed": "has changed", "expired": "has expired", "no way back": "no stage to go back to"
}  # fmt: skip

# Most can go wrong where somebody decides and something is sent.
FLOWS = (HURRIED, HURRIED, TURNS, TURNS, kinds.FAN, kinds.LOOP, *kinds.JOINS.values())


@dataclass(eq=False)
class Run:
    """A task: its id, its model, and its rows as they were read last."""

    id: UUID
    task: model.Task
    rows: snapshot.Rows | None = None

    def row_id(self, job: model_jobs.Job) -> str:
        assert self.rows is not None
        return self.rows.ids[self.task.jobs.index(job)]


@dataclass(eq=False)
class Holder:
    """Somebody who claimed a job, and may have lost it since. `took` is what it went on with in place."""

    claimed: Claimed
    run: Run
    job: model_jobs.Job
    attempt: model_jobs.Attempt
    worker: str
    is_awake: bool = True
    took: Holder | None = None
    usage: AttemptUsage = field(default_factory=AttemptUsage)

    @property
    def owns(self) -> bool:
        return self.job.owner is self.attempt


class WorkerDied(Exception):
    """It went no further than this line."""


@dataclass
class World:
    """Tasks of one tenant, those who hold their jobs, and what a provider has `delivered`, by key."""

    tenant_id: int
    clock: Clock
    runs: list[Run] = field(default_factory=list)
    holders: list[Holder] = field(default_factory=list)
    delivered: dict[str, int] = field(default_factory=dict)
    is_suspended: bool = False

    def compare(self) -> None:
        """Raise AssertionError where the rows are not as the model says."""
        found = snapshot.read([run.id for run in self.runs])
        for run in self.runs:
            run.rows = found[run.id]
            assert run.rows.rest == snapshot.predicted(run.task)
        assert all(times == 1 for times in self.delivered.values()), self.delivered
        # No two moves ever happen at the same moment.
        self.clock.advance(0.001)

    def check_records(self) -> None:
        snapshot.check_records([run.id for run in self.runs], self.delivered)

    def jobs(self, wanted: Callable[[model_jobs.Job], bool]) -> list[tuple[Run, model_jobs.Job]]:
        return [(run, job) for run in self.runs for job in run.task.jobs if wanted(job)]

    def working(self) -> list[Holder]:
        """Those who own their job and are about to end it."""
        return [holder for holder in self.holders if holder.owns and holder.is_awake]

    def others(self) -> list[Holder]:
        """Those who lost their job, settled it before, or were given up for dead and come back."""
        return [holder for holder in self.holders if not (holder.owns and holder.is_awake)]

    def submit(self, flow: Flow, *, parts: int, most: int, deadline_s: float | None) -> None:
        plan = flows.plan(flow)
        for stage in plan:
            stage["spec"]["max_attempts"] = most
        workflow = Workflow(
            id=uuid7(), tenant_id=self.tenant_id, kind=flow.kind, version=1, labels={},
            input={"parts": list(range(parts)), "text": "hello", "fail": ""}, result_bind=flows.paths_of(flow.result),
        )  # fmt: skip
        submit(workflow, stages=plan, actor="key:test", deadline_s=deadline_s)
        now = self.clock.now()
        deadline = now + timedelta(seconds=deadline_s) if deadline_s else None
        self.runs.append(Run(workflow.pk, model.Task(flow, parts=parts, most=most, deadline=deadline, now=now)))

    def claim(self, run: Run, job: model_jobs.Job) -> Holder | None:
        """Claim twice by one token: the second time stands for a first whose answer was lost."""
        worker, token = f"worker-{len(self.holders)}", uuid7()
        answer = run.task.claim(job, self.clock.now(), is_denied=self.is_suspended)
        got = claim(run.row_id(job), token=token, worker=worker, queues=QUEUES, lease_s=LEASE_S)
        if answer != "claimed":
            assert got == Refused(answer)
            return None
        assert got == claim(run.row_id(job), token=token, worker=worker, queues=QUEUES, lease_s=LEASE_S)
        assert isinstance(got, Claimed) and job.owner is not None
        assert (got.token, got.type, got.attempt, got.max_attempts) == (token, job.type, len(job.counted), job.most)
        self.holders.append(Holder(got, run, job, job.owner, worker))
        return self.holders[-1]

    def complete(self, holder: Holder, *, revise: bool = False, in_place: bool = False) -> None:
        answer, taken = holder.run.task.settle(
            holder.job, holder.attempt, "completed", self.clock.now(), revise=revise, in_place=in_place,
            is_denied=self.is_suspended,
        )  # fmt: skip
        output = OUTPUTS[holder.job.type] | ({"verdict": "revise"} if revise else {})
        settled = Settled(Opened())
        with refused(LostLease, answer == "lost"):
            settled = complete(
                holder.claimed, output, worker=holder.worker, usage=holder.usage.as_json(), in_place=in_place,
                queues=QUEUES, lease_s=LEASE_S,
            )  # fmt: skip
        if taken is not None and taken.owner is not None:
            assert settled.taken is not None
            holder.took = Holder(settled.taken, holder.run, taken, taken.owner, holder.worker)
            self.holders.append(holder.took)
        expected = holder.took if answer != "lost" and holder.took and holder.took.owns else None
        assert (settled.taken and settled.taken.token) == (expected and expected.claimed.token)

    def fail(self, holder: Holder, kind: ErrorKind, *, retry_after_s: float) -> None:
        claimed, job = holder.claimed, holder.job
        decision = retry.decide(
            retry.RetryPolicy(max_attempts=claimed.max_attempts), attempt=claimed.attempt, kind=kind,
            retry_after_s=retry_after_s,
        )  # fmt: skip
        to, wait_s = "dead_lettered", 0.0
        if kind is ErrorKind.TRANSIENT and claimed.attempt < job.most:
            to, wait_s = "retryable", wait_after_failure_s(claimed.attempt, retry_after_s)
        answer, _ = holder.run.task.settle(job, holder.attempt, "failed", self.clock.now(), to=to, wait_s=wait_s)
        error = {"class": "Failed", "kind": kind.value, "message": "it failed", "trace": ""}
        with refused(LostLease, answer == "lost"):
            if isinstance(decision, retry.RetryIn):
                fail.retry_later(claimed, error=error, retry_in_s=decision.seconds, worker=holder.worker)
            else:
                fail.dead_letter(claimed, error=error, reason=decision.reason, worker=holder.worker)

    def hand_back(self, holder: Holder) -> None:
        answer, _ = holder.run.task.settle(
            holder.job, holder.attempt, "handed_back", self.clock.now(), to="available"
        )  # fmt: skip
        with refused(LostLease, answer == "lost"):
            hand_back(holder.claimed, worker=holder.worker, reason="the worker ends")

    def ask(self, holder: Holder) -> None:
        answer = holder.run.task.ask(holder.job, holder.attempt, self.clock.now(), within_s=ASKED_WITHIN_S)
        with refused(LostLease, answer == "lost"):
            ask_person(holder.claimed, QUESTION, worker=holder.worker)

    def answer(self, run: Run, question: model.Approval, decision: ApprovalState, *, saw_this: bool) -> None:
        row = Approval.objects.filter(workflow=run.id, job__isnull=False).order_by("created_at")[
            run.task.questions.index(question)
        ]
        answer = run.task.answer(question, decision.value, self.clock.now(), saw_this=saw_this)
        self._decide(row, decision, answer, saw_this=saw_this)

    def send(self, holder: Holder, fate: str) -> str | None:
        """What a body does that sends. The provider can be asked what it has delivered.

        Returns how such an attempt ends, None when the body goes on.
        """
        key, owns = f"mail:{holder.claimed.root_id}", holder.owns
        was_delivered = key in self.delivered

        def call(effect_id: str) -> dict[str, Any]:
            if fate == "refused":
                raise TransientError("the provider is busy")
            if fate != "died before":
                self.delivered[key] = self.delivered.get(key, 0) + 1
            if fate == "unsure":
                raise EffectUnknown("the connection broke")
            if fate != "answered":
                raise WorkerDied
            return {"id": effect_id}

        def ask(effect_id: str) -> dict[str, Any] | None:
            return {"id": effect_id} if was_delivered else None

        ends_badly = owns and not was_delivered and fate != "answered"
        with refused(LostLease, not owns), refused((TransientError, EffectUnknown, WorkerDied), ends_badly):
            attempt = effects.Attempt(holder.claimed, holder.usage, None, lambda begin: begin())
            # No call of this world hangs, so none has to be waited for; test_effect_walks has those.
            provider = effects.Provider(call, ask, is_idempotent=True)
            effects.once(attempt, key, provider, type="mail", request=CONTENT)
        if not owns:
            return "crash"
        return {"refused": "fail", "unsure": "fail for good"}.get(fate, "crash") if ends_badly else None

    def decide(self, run: Run, decision: ApprovalState, *, saw_this: bool) -> None:
        approval = Approval.objects.filter(workflow=run.id, job=None).latest("created_at")
        answer = run.task.decide(decision.value, self.clock.now(), saw_this=saw_this)
        self._decide(approval, decision, answer, saw_this=saw_this)

    def _decide(self, approval: Approval, decision: ApprovalState, answer: str, *, saw_this: bool) -> None:
        with refused(IllegalMove, answer != "ok", because=REFUSALS.get(answer, "")):
            decide.decide(
                approval, to=decision, content_sha256=approval.content_sha256 if saw_this else "0" * 64,
                actor="user:test", user_id=None, api_key_id=None, reason="because",
            )  # fmt: skip

    def cancel(self, run: Run) -> None:
        with refused(IllegalMove, not run.task.cancel()):
            cancel.cancel(run.id, actor="key:test", reason="no longer needed")

    def replay(self, run: Run, job: model_jobs.Job) -> None:
        row = Job(pk=run.row_id(job), workflow_id=run.id)
        # Nobody knows whether its mail has arrived: first a person must find out.
        is_in_doubt = Effect.objects.filter(job_id=row.pk, state="unknown").exists()
        with refused(IllegalMove, is_in_doubt or not run.task.replay(job)):
            dead_letters.replay(row, actor="key:test")

    def act_too_early(self, run: Run, job: model_jobs.Job) -> None:
        """A dispatcher that has looked at a row long ago, and acts on what it saw."""
        row = Job.objects.get(pk=run.row_id(job))
        if job.lease_until is not None and job.lease_until >= self.clock.now():
            assert lose.lose(row, actor="dispatcher") is None
        elif job.state != "running" and (job.due is None or job.due > self.clock.now()):
            assert make_due.make_due(row, actor="dispatcher") is None

    def rescue(self) -> None:
        now = self.clock.now()
        rescuer.Watch(believes_at_once=True).rescue_expired()
        for run, job in self.jobs(lambda job: job.lease_until is not None and job.lease_until < now):
            run.task.lose(job, now)

    def expire(self) -> None:
        timekeeper.expire_overdue()
        for run in self.runs:
            run.task.expire(self.clock.now())

    def make_due(self) -> None:
        now = self.clock.now()
        stager.make_due()
        for _, job in self.jobs(lambda job: job.due is not None and job.due <= now):
            job.state, job.due = "available", None

    def suspend(self, whether: bool) -> None:
        if self.is_suspended == whether:
            return
        self.is_suspended = whether
        Tenant.objects.filter(pk=self.tenant_id).update(suspended_at=self.clock.now() if whether else None)


@contextmanager
def refused(
    error: type[Exception] | tuple[type[Exception], ...], is_expected: bool, *, because: str = ""
) -> Iterator[None]:
    """Raise AssertionError unless the error is raised exactly when it is expected, with that word in its sentence."""
    raised = None
    try:
        yield
    except error as caught:
        raised = caught
    assert (raised is not None) == is_expected, f"{raised!r}, expected: {is_expected}"
    assert because in str(raised)
