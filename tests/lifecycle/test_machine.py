"""The state machine, walked at random beside a pure model. [D2] [D3] [D8] [D9] [G3] INV1 INV2 INV3 INV4 INV11 INV12"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.db import connection
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from agentapp.lifecycle import function_set
from agentapp.lifecycle.function_set import in_schema
from agentapp.models import Tenant
from tests import kinds
from tests.acceptance.scale import SEED, STEADY_SEED, sized
from tests.lifecycle.machine import AskingMachine, Machine
from tests.lifecycle.walked_kinds import TURNS
from tests.structure.source import ROOT

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(sized(900, 3600))]

EXAMPLES = int(os.environ.get("AGENTAPP_TEST_EXAMPLES") or sized(30, 1_000))
# Walks are thrown by dice: one guard in some hundred throws is missed by all of them. So they may be thrown again. The
# first of these throws misses each guard soonest.
THROWS = (1, 0, 3, 2)
SQL = ROOT / "agentapp" / "lifecycle" / "sql"

# A guard, as it stands in the moves, and what is left when somebody takes it away. Those of effects: test_effect_walks.
GUARDS = {
    "a late writer is refused": (
        "06_settle.sql", " OR j.lease_token IS DISTINCT FROM r.token THEN", " THEN"
    ),
    "a lease that lives is not ended": ("06_lose.sql", "AND (lease_expires_at < t.now OR", "AND (true OR"),
    "a stage closes once": ("03_advance.sql", "IF s.position <> t.position OR t.parts_left = 0 THEN", "IF false THEN"),
    "a join waits for its last part": ("03_advance.sql", "IF t.parts_left > 0 THEN\n", "IF t.parts_left > 1 THEN\n"),
    "a decision is made once": (
        "07_policies.sql", "ELSIF NOT moves.is_asked(t, a) THEN", "ELSIF false THEN"
    ),
    "a decision binds what was seen": ("07_policies.sql", "ELSIF a.content_sha256 <> p_content_sha256 THEN",
                                       "ELSIF false THEN"),
    "a stage whose condition is not met is skipped": (
        "03_advance.sql", "IF s.spec ? 'when' AND NOT moves.is_met(t.id, s.spec -> 'when', s.position) THEN",
        "IF false THEN",
    ),
    "nothing is due before its time": ("07_cancel.sql", " OR coalesce(j.scheduled_at > t.now, true) THEN", " THEN"),
}  # fmt: skip


# Few walks go round a loop until it must end: this one does.
LOOP_ENDS = ("02_problem.sql", "OR s.round >= (again ->> 'at_most')::int THEN", "THEN")


def walks(
    tenant: Tenant, *, examples: int, phases: tuple[Phase, ...] = (Phase.generate, Phase.shrink), thrown: int = SEED,
    kind: type[Machine] = Machine,
) -> None:  # fmt: skip
    """Raise what the first walk runs into that does not go as the model says, with the shortest way there."""
    machine = type("Walk", (kind,), {"tenant_id": tenant.pk})
    chosen = settings(
        max_examples=examples, stateful_step_count=40, phases=phases, deadline=None, derandomize=False, print_blob=True,
        report_multiple_bugs=False, database=None, suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    print(f"AGENTAPP_CHAOS_SEED={thrown}")
    run_state_machine_as_test(seed(thrown)(machine), settings=chosen)


def test_the_rows_do_what_the_model_says(tenant: Tenant) -> None:
    walks(tenant, examples=EXAMPLES)


def test_the_rows_do_so_where_jobs_ask_people(tenant: Tenant) -> None:
    walks(tenant, examples=max(10, EXAMPLES // 3), kind=AskingMachine)


def test_what_may_no_longer_run_is_left_for_a_claim_and_not_taken_in_place(tenant: Tenant) -> None:
    """A walk of the long form, which few of them take."""
    walk = type("Walk", (Machine,), {"tenant_id": tenant.pk})()
    walk.submit(TURNS, 0, 1, None)
    for event, work in (
        (("nothing",), [(0, "hold", "answered")]),
        (("suspend", True), []),
        (("end", 0, "complete in place", "answered", 0), []),
        (("nothing",), [(0, "complete", "answered")]),
    ):
        walk.step(event, work, revise=False)
        walk.the_rows_are_as_the_model_says()
    walk.teardown()


@pytest.mark.parametrize("guard", GUARDS)
def test_walks_see_that_a_guard_is_missing(tenant: Tenant, guard: str) -> None:
    """The test of the test: the same walks over moves that have lost one guard."""
    with missing(*GUARDS[guard]):
        assert any(is_seen(tenant, STEADY_SEED + throw) for throw in THROWS), f"{guard}: nobody missed it"


def test_a_walk_round_a_loop_sees_that_it_does_not_end(tenant: Tenant) -> None:
    def go_round() -> None:
        walk = type("Walk", (Machine,), {"tenant_id": tenant.pk})()
        walk.submit(kinds.LOOP, 0, 3, None)
        try:
            for _ in range(10):
                walk.step(("nothing",), [(0, "complete", "answered")] * 3, revise=True)
                walk.the_rows_are_as_the_model_says()
        finally:
            walk.teardown()

    go_round()
    with missing(*LOOP_ENDS), pytest.raises(AssertionError):
        go_round()


@contextmanager
def missing(name: str, there: str, gone: str) -> Iterator[None]:
    """Take one guard away from the moves."""
    path = SQL / name
    run_sql(without(path, there, gone))
    try:
        yield
    finally:
        run_sql(path.read_text())
        # A function that is made anew has lost its settings.
        run_sql(function_set.PLANNER_RULES + function_set.ACCESS_RULES)


def is_seen(tenant: Tenant, thrown: int) -> bool:
    try:
        with pytest.raises(Exception, match="Failing test case"):
            walks(tenant, examples=EXAMPLES, phases=(Phase.generate,), thrown=thrown)
    except pytest.fail.Exception:
        return False
    return True


def without(path: Path, there: str, gone: str) -> str:
    text = path.read_text()
    assert text.count(there) == 1, f"{path.name} does not hold this guard once: {there}"
    return text.replace(there, gone)


def run_sql(text: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(in_schema(text))
