"""A move for a list decides as the same moves one by one, whichever branch takes the shorter way. INV4 INV5 INV12"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple
from uuid import UUID

import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from agentapp.clock import Clock
from agentapp.ids import uuid7
from agentapp.lifecycle import database, gates
from agentapp.lifecycle.invocation import Jsonb
from agentapp.lifecycle.requests import ClaimRequest, SettleRequest, Taker
from agentapp.models import Gate, Job, Workflow
from agentapp.policies.permissions import WORKER_CLASS_SCOPES
from agentapp.services import workflows
from agentapp.services.principals import Principal
from tests.acceptance.scale import SEED, sized
from tests.lifecycle.test_machine import SQL, run_sql

pytestmark = [pytest.mark.django_db, pytest.mark.timeout(900)]

EXAMPLES = sized(10, 500)
Json = dict[str, Any]
Answers = list[Json | None]
TAKER = Taker("worker", tuple(WORKER_CLASS_SCOPES), 60)
ERROR = {"class": "Broken", "kind": "permanent", "message": "it broke", "fingerprint": ""}
USE = {"tokens": 7, "cost_usd": "0.25"}
# How an attempt may end. `next_token` is told apart below.
ENDS: dict[str, Json] = {
    "completes": {"state": "completed", "outcome": "completed", "output": {"n": 1, "double": 2, "text": "a"}, **USE},
    "goes on in place": {"state": "completed", "outcome": "completed", "output": {"n": 1, "double": 2, "text": "a"}},
    "is of no use": {"state": "completed", "outcome": "completed", "output": {"priority": 77}},
    "fails": {"state": "retryable", "outcome": "failed", "error": ERROR, "retry_in_s": 3.0, "reason": "busy", **USE},
    "waits": {"state": "retryable", "outcome": "failed", "error": ERROR, "retry_in_s": 3.0, "is_counted": False},
    "fails for good": {"state": "dead_lettered", "outcome": "failed", "error": ERROR, "reason": "it broke"},
    "is handed back": {"state": "available", "outcome": "handed_back", "reason": "the worker ends"},
    "lost its lease": {"state": "completed", "outcome": "completed", "output": {"text": "late"}},
}

# What the moves wrote, a row a line. Ids that a move makes are named by their places; see `named`.
ROWS = """
SELECT 'task ' || w.id, to_jsonb(w) FROM agentapp_workflow w
UNION ALL SELECT 'job ' || j.id, to_jsonb(j) - 'stage_id' FROM agentapp_job j
UNION ALL SELECT 'stage ' || s.workflow_id || ' ' || s.position, to_jsonb(s) - 'id' FROM agentapp_stage s
UNION ALL SELECT 'attempt ' || a.id, to_jsonb(a) FROM agentapp_attempt a
UNION ALL SELECT 'history ' || h.workflow_id || ' ' || h.seq, to_jsonb(h) - 'id' FROM agentapp_history h
UNION ALL SELECT 'limit ' || l.key, to_jsonb(l) FROM agentapp_limit l
"""
NAMES = """
SELECT j.id::text, format('%s/%s.%s', j.workflow_id, s.position, j.part)
  FROM agentapp_job j JOIN agentapp_stage s ON s.id = j.stage_id
"""

GATES = st.fixed_dictionaries({
    "concurrency": st.sampled_from([2, 1, 3, 4, 0, None]), "reserved": st.sampled_from([0, 0, 1]),
    "requests_per_min": st.sampled_from([None, None, 20.0]), "request_burst": st.sampled_from([1, 2, 3]),
})  # fmt: skip
SCOPES = ("global:global", "tenant:*", "job_type:probe_part", "job_type:probe_first")
TASKS = st.tuples(
    st.sampled_from(["probe_all", "probe_enough", "probe_fan"]),
    st.integers(2, 4),
    st.sampled_from(["normal", "urgent"]),
)
WORLDS = st.fixed_dictionaries({
    "gates": st.dictionaries(st.sampled_from(SCOPES), GATES, min_size=1, max_size=2),
    "tasks": st.lists(TASKS, min_size=2, max_size=4),
    "claims": st.lists(st.integers(0, 12), min_size=6, max_size=10),
    "ends": st.lists(st.tuples(st.integers(0, 12), st.sampled_from(sorted(ENDS))), min_size=3, max_size=10),
})  # fmt: skip
# Beside it: however much is free, each job asks its gates at length.
ASKS_EACH = "agentapp.asks_each"
AT_LENGTH = (
    "10_pass.sql", "  RETURN free;\nEND $$;",
    f"  RETURN CASE WHEN free > 0 AND current_setting('{ASKS_EACH}', true) = 'on' THEN 0 ELSE free END;\nEND $$;",
)  # fmt: skip


class Item(NamedTuple):
    """What is asked for a job, and its task, by whose order a list is made."""

    task: UUID
    request: ClaimRequest | SettleRequest


def made(move: str, items: Sequence[Item]) -> Answers:
    asked = Jsonb([vars(item.request) for item in items])
    return database.call_many(move, items=asked, actor="worker", taker=vars(TAKER), waits=False)


def made_one_by_one(move: str, items: Sequence[Item]) -> Answers:
    """In the order of a list: by tasks, then as they stand. The second of a job is not decided."""
    answers: Answers = [None] * len(items)
    seen: set[str] = set()
    tasks = set(Workflow.objects.values_list("pk", flat=True))
    for number in sorted(range(len(items)), key=lambda number: items[number].task):
        item = items[number]
        if item.request.job not in seen:
            (answers[number],) = made(move, [item])
        if item.task in tasks:
            seen.add(item.request.job)
    return answers


def seen_by(make: Callable[[], Answers]) -> tuple[Answers, list[str], list[str]]:
    """Make moves; return their answers, and these and all rows as lines without ids that differ each time."""
    answers = make()
    with connection.cursor() as cursor:
        cursor.execute(NAMES)
        names = dict(cursor.fetchall())
        cursor.execute(ROWS)
        rows = [f"{key} {row}" for key, row in cursor.fetchall()]

    def named(line: str) -> str:
        for made_id, name in names.items():
            line = line.replace(made_id, name)
        return line

    return answers, [named(json.dumps(answer)) for answer in answers], sorted(map(named, rows))


@contextmanager
def undone() -> Iterator[None]:
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def both_ways(move: str, items: Sequence[Item]) -> Answers:
    """Make them as a list, take it back, and make them one by one and at length: all is the same."""
    with undone():
        run_sql(f"SET LOCAL {ASKS_EACH} = off")
        _, *by_list = seen_by(partial(made, move, items))
    run_sql(f"SET LOCAL {ASKS_EACH} = on")
    answers, *one_by_one = seen_by(partial(made_one_by_one, move, items))
    assert by_list == one_by_one, "by_list"
    return answers


def end_of(claimed: Json, how: str) -> SettleRequest:
    token = UUID(claimed["token"])
    next_token = str(UUID(int=token.int + 1)) if how == "goes on in place" else None
    token = uuid7() if how == "lost its lease" else token
    return SettleRequest(claimed["workflow"], claimed["id"], str(token), **ENDS[how], next_token=next_token)


def compare(principal: Principal, clock: Clock, world: Json) -> None:
    for name, values in world["gates"].items():
        scope, pattern = name.split(":")
        gates.keep(Gate(scope=scope, pattern=pattern, **values), actor="test")
    for kind, parts, priority in world["tasks"]:
        workflows.submit(principal, kind=kind, input={"parts": list(range(parts))}, priority=priority)
    jobs = [*Job.objects.filter(state="available").order_by("id"), Job(pk=uuid7(), workflow_id=uuid7())]
    chosen = [jobs[number % len(jobs)] for number in world["claims"]]
    items = [Item(job.workflow_id, ClaimRequest(str(job.pk), str(uuid7()))) for job in chosen]
    # The second list meets what the first one has made to run.
    answers = [*both_ways("claim", items[: len(items) // 2]), *both_ways("claim", items[len(items) // 2 :])]
    clock.advance(1)
    claimed = [answer for answer in answers if answer and "token" in answer]
    if claimed:
        ends = [(claimed[number % len(claimed)], how) for number, how in world["ends"]]
        both_ways("settle", [Item(UUID(one["workflow"]), end_of(one, how)) for one, how in ends])


def draw(principal: Principal, clock: Clock, *changes: tuple[str, str, str], examples: int = EXAMPLES) -> None:
    """Raise what differs first; with these changes in the moves, in one of so many examples."""
    texts = {name: (SQL / name).read_text() for name, _, _ in (AT_LENGTH, *changes)}
    for name, there, gone in (AT_LENGTH, *changes):
        assert texts[name].count(there) == 1, f"{name} does not hold this once: {there}"
        texts[name] = texts[name].replace(there, gone)
    for text in texts.values():
        run_sql(text)

    @seed(SEED)
    @settings(
        max_examples=examples, phases=(Phase.generate,) if changes else (Phase.generate, Phase.shrink),
        derandomize=False, database=None, deadline=None, report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(world=WORLDS)
    def one(world: Json) -> None:
        with undone():
            compare(principal, clock, world)

    print(f"AGENTAPP_CHAOS_SEED={SEED}")
    one()


def test_a_list_decides_as_its_items_one_by_one_and_at_length(principal: Principal, clock: Clock) -> None:
    draw(principal, clock)


# What the shorter ways rest on, and what is left when somebody takes it away.
SHORTER_WAYS = {
    "what runs takes of what is free": (
        "10_pass.sql", "free := free - (SELECT count(*) FROM agentapp_job WHERE state = 'running');", "NULL;"
    ),
    "each claim takes of what is free": ("05_claim.sql", "      free := free - 1;\n", ""),
    "a pace is asked at length": ("10_pass.sql", "THEN x.concurrency - x.reserved ELSE 0 END", "THEN 99 ELSE 99 END"),
}  # fmt: skip


@pytest.mark.parametrize("way", SHORTER_WAYS)
def test_a_shorter_way_that_decides_otherwise_is_seen(principal: Principal, clock: Clock, way: str) -> None:
    with pytest.raises(AssertionError, match="by_list"):
        draw(principal, clock, SHORTER_WAYS[way], examples=100)
