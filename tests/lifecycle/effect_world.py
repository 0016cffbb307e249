"""A provider whose calls hang, come back in doubt and arrive late, and the jobs, people and clocks around it.

Everything happens in one thread, in one transaction, under a stopped clock, by the dice of a walk. A call that hangs
lets the rest of the world go on inside it, so that real attempts of the real runtime overlap. One that never comes back
has the whole rest of the walk inside it.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from agentapp import flows, registry
from agentapp.clock import Clock
from agentapp.errors import (
    BeingSent,
    CannotBeSent,
    EffectUnknown,
    IllegalMove,
    LostLease,
    NotSentYet,
    PermanentError,
    TimedOut,
    TransientError,
)
from agentapp.flows import Flow, Step
from agentapp.ids import uuid7
from agentapp.lifecycle import cancel, dead_letters, lose, make_due
from agentapp.lifecycle.submit import submit
from agentapp.models import Effect, Job, Workflow
from agentapp.policies.retry import RetryPolicy
from agentapp.runtime import JobContext, effects, failing, job, runner
from tests.kinds import Anything

Json = dict[str, Any]
TIMEOUT_S, LATE_S, LEASE_S = 60, 30, 15
# What a key says of its provider; it is the same for all tenants. A number follows.
ASKED, NOT_ASKED, IDEMPOTENT = "can be asked", "cannot be asked", "idempotent"
MOST_OPEN, DEEPEST = 6, 6


class Over(BaseException):
    """The walk is over: calls that hang come to nothing more."""


@dataclass(eq=False)
class Send:
    """One call. `arrives` is when it is delivered, None: never."""

    of: tuple[int, str]
    effect_id: str
    ctx: JobContext
    began: datetime
    arrives: datetime | None = None
    has_arrived: bool = False
    has_returned: bool = False


@dataclass
class World:
    """`excused`: how often a person said of a (tenant, key) that it had not arrived. `seen`: what walks came across."""

    dice: random.Random
    clock: Clock
    tenants: tuple[int, ...]
    seen: Counter[str]
    left: int
    depth: int = 0
    sends: list[Send] = field(default_factory=list)
    excused: Counter[tuple[int, str]] = field(default_factory=Counter)
    confirmed: dict[Any, int] = field(default_factory=dict)

    def walk(self) -> None:
        while self.left > 0:
            self.step()

    def step(self) -> None:
        self.left -= 1
        acts: tuple[tuple[Callable[[], None], int], ...] = (
            (self.submit, 5), (self.run, 14), (self.time_passes, 6), (self.rescue, 6), (self.renew, 2),
            (self.make_due, 6), (self.time_out, 3), (self.cancel, 1), (self.replay, 1), (self.deny, 6),
            (self.affirm, 1),
        )  # fmt: skip
        (act,) = self.dice.choices([act for act, _ in acts], [weight for _, weight in acts])
        act()
        self.check()

    def submit(self) -> None:
        if Workflow.objects.filter(finished_at=None).count() < MOST_OPEN:
            plan = flows.plan(FLOW)
            plan[0]["spec"]["max_attempts"] = self.dice.choice([1, 2])
            workflow = Workflow(
                id=uuid7(), tenant_id=self.dice.choice(self.tenants), kind=FLOW.kind, version=1, labels={},
                input={"text": self._key()}, result_bind={},
            )  # fmt: skip
            submit(workflow, stages=plan, actor="key:test")

    def _key(self) -> str:
        """One that is in doubt, or the next of its sort."""
        sort = self.dice.choice([ASKED, NOT_ASKED, IDEMPOTENT])
        done = set(Effect.objects.filter(key__startswith=sort, state="confirmed").values_list("key", flat=True))
        return next(key for number in range(len(done) + 1) if (key := f"{sort} {number}") not in done)

    def run(self) -> None:
        if found := self._some("available"):
            runner.run(str(found.pk))

    def body(self, ctx: JobContext, key: str) -> Json:
        """What a job does: it sends, perhaps twice, and may fail afterwards."""
        try:
            answer = self._effect(ctx, key)
        except (TransientError, EffectUnknown):
            if self.dice.random() < 0.7:
                raise
            self.seen["tried again in one attempt"] += 1
            answer = self._effect(ctx, key)
        if self.dice.random() < 0.3:
            raise self.dice.choice([TransientError("later"), PermanentError("never"), LostLease("gone")])
        return answer

    def _effect(self, ctx: JobContext, key: str) -> Json:
        def in_doubt(begin: Callable[[], Any]) -> Any:
            """The first answer may be lost on its way."""
            if self.dice.random() < 0.3:
                begin()
            return begin()

        provider = effects.Provider(
            lambda effect_id: self.call(ctx, key, effect_id),
            ask=None if key.startswith(NOT_ASKED) else lambda effect_id: self.ask(effect_id),
            is_idempotent=key.startswith(IDEMPOTENT),
        )
        attempt = effects.Attempt(ctx._job, ctx.usage, ctx.held, in_doubt)
        try:
            return effects.once(attempt, key, provider, type="mail", request={"text": key})
        except BeingSent:
            self.seen["waited"] += 1
            raise

    def ask(self, effect_id: str) -> Json | None:
        self.deliver()
        has_arrived = any(send.has_arrived for send in self.sends if send.effect_id == effect_id)
        return {"id": effect_id} if has_arrived else None

    def call(self, ctx: JobContext, key: str, effect_id: str) -> Json:
        now = self.clock.now()
        after_s = self.dice.choice([None, 0.0, 0.0, self.dice.uniform(0, TIMEOUT_S + LATE_S - 0.01)])
        send = Send((ctx.tenant_id, key), effect_id, ctx, now)
        send.arrives = None if after_s is None else now + timedelta(seconds=after_s)
        self.seen["sent again"] += any(other.of == send.of for other in self.sends)
        self.sends.append(send)
        self.deliver()
        if self.depth < DEEPEST:
            self._hang(self.dice.choice([0, 0, 0, self.dice.randint(1, 40), self.dice.randint(1, 40), self.left]))
        self.deliver()
        if self.left <= 0:
            raise Over
        send.has_returned = True
        return self._end_of(send)

    def _hang(self, steps: int) -> None:
        self.depth += 1
        for _ in range(steps):
            if self.left > 0:
                self.step()
        self.depth -= 1

    def _end_of(self, send: Send) -> Json:
        """What the caller hears. Only what has not arrived and never will is proof."""
        doubt: list[Exception] = [TransientError("cut off"), ConnectionError("reset"), EffectUnknown("no answer")]
        if send.has_arrived:
            if self.dice.random() < 0.6:
                return {"id": send.effect_id}
            raise self.dice.choice(doubt)
        if self.dice.random() < 0.5:
            send.arrives = None
            raise self.dice.choice([NotSentYet("closed"), CannotBeSent("refused")])
        latest = self.clock.now() + timedelta(seconds=LATE_S - 0.01)
        send.arrives = send.arrives and min(send.arrives, latest)
        raise self.dice.choice(doubt)

    def deliver(self) -> None:
        for send in self.sends:
            if send.arrives is not None and not send.has_arrived and send.arrives <= self.clock.now():
                send.has_arrived = True
                self.seen["arrived late"] += send.arrives > send.began

    def time_passes(self) -> None:
        self.clock.advance(self.dice.choice([0.5, 2, 5, 16, 16, 31, 65, 95]))
        self.deliver()

    def renew(self) -> None:
        """A heartbeat, for those whose timeout has not passed."""
        now = self.clock.now()
        live = Job.objects.filter(state="running", started_at__gt=now - timedelta(seconds=TIMEOUT_S))
        live.update(lease_expires_at=now + timedelta(seconds=LEASE_S))

    def rescue(self) -> None:
        for row in lose.expired():
            lose.lose(row, actor="dispatcher")

    def make_due(self) -> None:
        for row in make_due.due():
            make_due.make_due(row, actor="dispatcher")

    def time_out(self) -> None:
        """A body that does not come back within its timeout is ended in the rows."""
        for send in self.hanging():
            if self.clock.now() - send.began > timedelta(seconds=TIMEOUT_S + 2):
                with suppress(LostLease):
                    failing.failed(send.ctx._job, send.ctx.usage, TimedOut("it did not come back"))

    def cancel(self) -> None:
        if found := self._some("running", "retryable", "dead_lettered"):
            with suppress(IllegalMove):
                cancel.cancel(found.workflow_id, actor="key:test", reason="enough")

    def replay(self) -> None:
        if found := self._some("dead_lettered"):
            with suppress(IllegalMove):
                dead_letters.replay(found, actor="user:test")

    def deny(self) -> None:
        """A person says that it has not arrived: nobody finds a trace of it."""
        found = self._some("dead_lettered")
        if found is None:
            return
        of = (found.tenant_id, (found.payload or {})["text"])
        if self.delivered(of):
            return
        in_doubt = Effect.objects.filter(tenant_id=of[0], key=of[1], state__in=("sent", "unknown"))
        was_in_doubt = in_doubt.exists()
        try:
            dead_letters.replay(found, actor="user:test", effect_happened=False)
        except IllegalMove as error:
            self.seen["a person had to wait"] += "has not come back" in str(error)
            return
        if was_in_doubt and not in_doubt.exists():
            assert not [send for send in self.hanging() if send.of == of], f"decided while {of} was being sent"
            self.excused[of] += 1

    def affirm(self) -> None:
        if found := self._some("dead_lettered"):
            with suppress(IllegalMove):
                dead_letters.resolve(found, output={}, actor="user:test", reason="it stands in the log")

    def _some(self, *states: str) -> Job | None:
        found = list(Job.objects.filter(state__in=states).order_by("id"))
        return self.dice.choice(found) if found else None

    def hanging(self) -> list[Send]:
        """Calls that have not come back, and still may."""
        oldest = self.clock.now() - timedelta(seconds=TIMEOUT_S + LATE_S)
        return [send for send in self.sends if not send.has_returned and send.began > oldest]

    def delivered(self, of: tuple[int, str]) -> int:
        """How often the provider has done it: an idempotent one does one id once."""
        ids = [send.effect_id for send in self.sends if send.of == of and send.has_arrived]
        return len(set(ids)) if of[1].startswith(IDEMPOTENT) else len(ids)

    def check(self) -> None:
        for of in {send.of for send in self.sends}:
            assert self.delivered(of) <= 1 + self.excused[of], f"{of} was delivered {self.delivered(of)} times"
        for effect in Effect.objects.all():
            of = (effect.tenant_id, effect.key)
            mine = [send for send in self.sends if send.of == of]
            self.seen["an earlier send in doubt"] += bool(effect.unfinished)
            if effect.state == "prepared" and not self.excused[of]:
                assert all(send.arrives is None for send in mine), f"{of} counts as not sent, and may arrive"
            if effect.pk in self.confirmed:
                assert (effect.state, effect.sends) == ("confirmed", self.confirmed[effect.pk]), effect
            elif effect.state == "confirmed":
                self.confirmed[effect.pk] = effect.sends


worlds: list[World] = []


@job(queue="send", scopes={"mail:send"}, timeout_s=TIMEOUT_S, retry=RetryPolicy(max_attempts=2, backoff_s=(1,)))
def walk_send(ctx: JobContext, *, text: str) -> Json:
    return worlds[-1].body(ctx, text)


FLOW = registry.add_flow(
    Flow(
        kind="effect_walk",
        version=1,
        input=Anything,
        stages=(Step("walk_send", bind={"text": "input.text"}),),
        result={},
    )
)
