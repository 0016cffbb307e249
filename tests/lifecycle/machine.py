"""Random walks through the state machine: moves of the world, and after each a look at the rows.

An example is one transaction that is rolled back, on one connection, under a stopped clock. A step is one event, then
a little ordinary work, so that walks get somewhere: Hypothesis leaves out some rules of a machine in each example, and
without work nothing happens that could go wrong. Hence one rule.
"""

from __future__ import annotations

from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

from django.db import transaction
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from agentapp import clock
from agentapp.flows import Flow
from agentapp.policies.classify import ErrorKind
from agentapp.states import ApprovalState
from tests.lifecycle.world import FLOWS, Holder, World

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
MOST_TASKS, MOST_OPEN = 8, 3
# One of those that are there, counted round and round.
PICK = st.integers(0, 11)
SUBMISSION = (st.sampled_from(FLOWS), st.integers(0, 3), st.integers(1, 3), st.sampled_from([None, None, None, 300.0]))
HOW = st.sampled_from(
    ["complete", "complete", "complete", "complete in place", "fail", "fail for good", "hand back", "crash", "hold"]
)
FATE = st.sampled_from(["answered", "answered", "refused", "unsure", "died before", "died after"])
SENTENCE = st.sampled_from(["approved", "approved", "changes_requested", "rejected"])
DUTY = st.sampled_from(["rescue", "expire", "make_due"])
SECONDS = st.sampled_from([0, 1, 9, 11, 16, 16, 31, 121, 601, 3601])
SOMETIMES = st.sampled_from([False, False, False, True])
EVENT = st.one_of(
    st.tuples(st.just("nothing")),
    st.tuples(st.just("submit"), *SUBMISSION),
    st.tuples(st.just("end"), PICK, HOW, FATE, st.sampled_from([0, 5, 90])),
    st.tuples(st.just("end_late_or_again"), PICK, HOW, FATE),
    st.tuples(st.just("decide"), PICK, SENTENCE, SOMETIMES),
    st.tuples(st.just("decide"), PICK, SENTENCE, SOMETIMES),
    st.tuples(st.just("replay"), PICK),
    st.tuples(st.just("time_passes"), SECONDS, DUTY),
    st.tuples(st.just("time_passes"), SECONDS, DUTY),
    st.tuples(st.just("suspend"), SOMETIMES),
    st.tuples(st.just("cancel"), PICK, SOMETIMES),
    st.tuples(st.just("stranger"), PICK, st.sampled_from(["claim", "replay", "act_too_early", "act_too_early"])),
)
WORK = st.lists(st.tuples(PICK, HOW, FATE), max_size=3)


def pick_of(items: list[Any], pick: int) -> Any:
    return items[pick % len(items)]


class Machine(RuleBasedStateMachine):
    """`tenant_id` is set by a subclass."""

    tenant_id: int

    def __init__(self) -> None:
        super().__init__()
        self._stack = ExitStack()
        self._stack.enter_context(transaction.atomic())
        self.world = World(self.tenant_id, self._stack.enter_context(clock.frozen_at(NOON)))

    def teardown(self) -> None:
        try:
            self.world.check_records()
        finally:
            transaction.set_rollback(True)
            self._stack.close()

    @invariant()
    def the_rows_are_as_the_model_says(self) -> None:
        self.world.compare()

    @initialize(submission=st.tuples(*SUBMISSION))
    def begin(self, submission: Any) -> None:
        self.submit(*submission)

    @rule(event=EVENT, work=WORK, revise=SOMETIMES)
    def step(self, event: Any, work: list[tuple[int, str, str]], revise: bool) -> None:
        name, *more = event
        getattr(self, name)(*more)
        for pick, how, fate in work:
            self.world.compare()
            if found := self.world.jobs(lambda job: job.state == "available"):
                holder = self.world.claim(*pick_of(found, pick))
                if holder is not None:
                    self._end(holder, how, fate, revise=revise)

    def nothing(self) -> None:
        """Only work."""

    def submit(self, flow: Flow, parts: int, most: int, deadline_s: float | None) -> None:
        is_open = [run for run in self.world.runs if not run.task.is_over]
        if len(is_open) < MOST_OPEN and len(self.world.runs) < MOST_TASKS:
            self.world.submit(flow, parts=parts, most=most, deadline_s=deadline_s)

    def end(self, pick: int, how: str, fate: str, retry_after_s: float) -> None:
        """Somebody who holds a job goes on with it."""
        if working := self.world.working():
            self._end(pick_of(working, pick), how, fate, retry_after_s=retry_after_s)

    def end_late_or_again(self, pick: int, how: str, fate: str) -> None:
        """A worker that was stopped wakes up, or one repeats a settle whose answer was lost."""
        if others := self.world.others():
            holder = pick_of(others, pick)
            holder.is_awake = True
            self._end(holder, how, fate)

    def _end(self, holder: Holder, how: str, fate: str, *, revise: bool = False, retry_after_s: float = 0) -> None:
        """What comes after a claim; a job that sends does so first, and `fate` says how that goes."""
        if holder.job.type == "probe_tell" and how != "hold":
            how = self.world.send(holder, fate) or how
        if how.startswith("complete"):
            # Who repeats a settle repeats all of it.
            in_place = how == "complete in place" or holder.took is not None
            self.world.complete(holder, revise=revise, in_place=in_place)
        elif how.startswith("fail"):
            kind = ErrorKind.TRANSIENT if how == "fail" else ErrorKind.PERMANENT
            self.world.fail(holder, kind, retry_after_s=retry_after_s)
        elif how == "hand back":
            self.world.hand_back(holder)
        elif how == "crash":
            holder.is_awake = False

    def decide(self, pick: int, sentence: str, saw_another: bool) -> None:
        # What waits for a decision first; then what nobody waits for any more.
        asked = [run for run in self.world.runs if run.task.approvals]
        if asked := [run for run in asked if not run.task.is_over] or asked:
            self.world.decide(pick_of(asked, pick), ApprovalState(sentence), saw_this=not saw_another)

    def replay(self, pick: int) -> None:
        if dead := self.world.jobs(lambda job: job.state == "dead_lettered"):
            self.world.replay(*pick_of(dead, pick))

    def time_passes(self, seconds: float, duty: str) -> None:
        """The dispatcher looks after one of its duties then."""
        self.world.clock.advance(seconds)
        getattr(self.world, duty)()

    def suspend(self, whether: bool) -> None:
        self.world.suspend(whether)

    def cancel(self, pick: int, sure: bool) -> None:
        run = pick_of(self.world.runs, pick)
        if sure or run.task.is_over:
            self.world.cancel(run)

    def stranger(self, pick: int, what: str) -> None:
        """A message that is late or forged, a click on a page that is old."""
        fitting = {"claim": "available", "replay": "dead_lettered"}.get(what, "completed")
        if found := self.world.jobs(lambda job: job.state != fitting):
            getattr(self.world, what)(*pick_of(found, pick))


class AskingMachine(Machine):
    """The same, where jobs ask people. Apart, so that the dice of the others stay as they are."""

    @rule(pick=PICK, sentence=SENTENCE, saw_another=SOMETIMES)
    def ask_or_answer(self, pick: int, sentence: str, saw_another: bool) -> None:
        """A job asks a person, and sometimes one that somebody else holds by now; or a person decides what one has
        asked, what waits first."""
        asked = [(run, each) for run in self.world.runs for each in run.task.questions]
        asked = [each for each in asked if each[1].state == "pending"] or asked
        holders = self.world.others() if pick % 4 == 3 else self.world.working()
        if holders and (pick % 2 or not asked):
            self.world.ask(pick_of(holders, pick))
        elif asked:
            run, question = pick_of(asked, pick)
            self.world.answer(run, question, ApprovalState(sentence), saw_this=not saw_another)
