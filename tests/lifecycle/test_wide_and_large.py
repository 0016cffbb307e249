"""Wide fan-outs and large payloads: one statement per table, and no client holds a gate."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.db import connection, transaction
from psycopg.conninfo import make_conninfo

from agentapp.lifecycle import cancel, database, function_set, gates
from agentapp.lifecycle.claim import claim
from agentapp.lifecycle.complete import complete
from agentapp.lifecycle.invocation import Jsonb
from agentapp.lifecycle.opened import Claimed, Opened
from agentapp.models import Gate, History, Job, Workflow
from agentapp.policies.permissions import WORKER_CLASS_SCOPES
from agentapp.services import forks, workflows
from agentapp.services.principals import Principal
from tests.harness import histories_are_legal
from tests.lifecycle import crooked_kinds
from tests.lifecycle.held_row import until

pytestmark = pytest.mark.django_db(transaction=True)

QUEUES = tuple(WORKER_CLASS_SCOPES)
WIDE = 10_000


@pytest.fixture(autouse=True)
def crooked() -> Iterator[None]:
    with crooked_kinds.registered():
        yield


def first_job(principal: Principal, kind: str = "crooked_fan") -> Job:
    run = workflows.submit(principal, kind=kind, input={"output": {}})
    return Job.objects.get(workflow=run, state="available")


def taken(job: Job) -> Claimed:
    claimed = claim(str(job.pk), worker="w", queues=QUEUES, lease_s=60)
    assert isinstance(claimed, Claimed)
    return claimed


def test_ten_thousand_parts_open_and_are_cancelled(principal: Principal) -> None:
    """In a loop it took 15 seconds for the one and as long for the other; a test has two minutes for both."""
    claimed = taken(first_job(principal))

    settled = complete(claimed, {"parts": list(range(WIDE))}, worker="w")

    parts = Job.objects.filter(workflow=claimed.workflow_id, type="crooked_part")
    assert parts.count() == WIDE == Workflow.objects.get(pk=claimed.workflow_id).parts_left
    # Only what is published is listed; the rest is counted.
    assert len(settled.opened.jobs) == parts.filter(published_at__isnull=False).count() < 1_000
    assert settled.opened.held == WIDE - len(settled.opened.jobs)
    payloads = parts.values_list("payload", flat=True)
    assert sorted(payload["n"] for payload in payloads if payload) == list(range(WIDE))

    cancel.cancel(claimed.workflow_id, actor="test", reason="enough")

    assert set(parts.values_list("state", flat=True)) == {"cancelled"}
    workflow = Workflow.objects.get(pk=claimed.workflow_id)
    seqs = History.objects.filter(workflow=workflow).order_by("seq").values_list("seq", flat=True)
    assert list(seqs) == list(range(1, workflow.seq + 1))
    assert workflow.seq > 2 * WIDE


def work_of(principal: Principal, parts: int, *, is_cancelled: bool) -> Counter[str]:
    """How often opening so many parts, or cancelling them, calls each function, updates rows and reads rows."""

    def counted() -> Counter[str]:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT funcname, calls FROM pg_stat_xact_user_functions UNION ALL "
                "SELECT 'rows updated: ' || relname, n_tup_upd FROM pg_stat_xact_user_tables UNION ALL "
                "SELECT 'rows read', sum(seq_tup_read + coalesce(idx_tup_fetch, 0)) FROM pg_stat_xact_user_tables"
            )
            return Counter({name: int(times) for name, times in cursor.fetchall() if times})

    claimed = taken(first_job(principal))
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL track_functions = 'all'")
        before = counted()
        complete(claimed, {"parts": list(range(parts))}, worker="w")
        if is_cancelled:
            before = counted()
            cancel.cancel(claimed.workflow_id, actor="test", reason="enough")
        return counted() - before


@pytest.mark.parametrize("is_cancelled", [False, True], ids=["opened", "cancelled"])
def test_the_work_of_a_fan_out_grows_with_its_parts_and_no_faster(principal: Principal, is_cancelled: bool) -> None:
    """What is called for each part copies all that came before it: 10,000 parts took 15 seconds."""
    few, many = (work_of(principal, parts, is_cancelled=is_cancelled) for parts in (100, 800))

    more = {name: times - few[name] for name, times in many.items() if times > few[name]}
    of_each_part = {"rows read", *(["rows updated: agentapp_job"] if is_cancelled else [])}
    assert set(more) <= of_each_part, more
    assert few["rows read"] and many["rows read"] <= 10 * few["rows read"]


def test_what_a_lost_answer_had_opened_is_told_again(principal: Principal) -> None:
    claimed = taken(first_job(principal))
    output = {"parts": list(range(200))}
    first = complete(claimed, output, worker="w").opened

    again = complete(claimed, output, worker="w").opened

    assert (again.jobs, again.held) == (first.jobs, first.held) and first.held


def test_a_fork_copies_a_wide_stage(principal: Principal) -> None:
    claimed = taken(first_job(principal))
    complete(claimed, {"parts": list(range(50))}, worker="w")
    for part in Job.objects.filter(workflow=claimed.workflow_id, type="crooked_part"):
        complete(taken(part), {"n": part.part}, worker="w")

    fork = forks.fork(principal, claimed.workflow_id, from_stage="crooked_count")

    copied = Job.objects.filter(workflow=fork, type="crooked_part", state="completed").order_by("part")
    assert [job.output for job in copied] == [{"n": part} for part in range(50)]
    assert (fork.jobs_done, fork.jobs_total) == (51, 52)
    assert histories_are_legal()


@pytest.mark.parametrize(("count", "length"), [(1, 20_000_000), (16, 60_000)])
def test_a_client_that_does_not_read_its_claims_holds_no_gate(principal: Principal, count: int, length: int) -> None:
    """Its answer would fill the buffers of the socket, and the claim not commit before it is read."""
    gates.keep(Gate(scope="job_type", pattern="crooked_say", concurrency=50), actor="test")
    *jobs, other = [first_job(principal) for _ in range(count + 1)]
    Job.objects.filter(pk__in=[job.pk for job in jobs]).update(payload={"output": {"long": "x" * length}})
    taker = {"queues": list(QUEUES), "worker": "frozen", "lease_s": 60}
    asked = [[{"job": str(job.pk)} for job in jobs], taker]
    parameters = connection.get_connection_params()
    options: dict[str, Any] = {name: value for name, value in parameters.items() if isinstance(value, str | int)}
    frozen = psycopg.pq.PGconn.connect(make_conninfo(**options).encode())
    try:
        statement = f"SELECT {function_set.SCHEMA}.claim($1::jsonb, $2::jsonb, 'frozen', true)"
        frozen.send_query_params(statement.encode(), [json.dumps(value).encode() for value in asked])
        while frozen.flush():
            pass
        until(lambda: Job.objects.filter(state="running").count() == count)

        assert taken(other)
    finally:
        frozen.finish()


def test_a_long_payload_arrives_all_the_same(principal: Principal) -> None:
    job = first_job(principal)
    payload = {"output": {"long": "x" * 200_000}}
    Job.objects.filter(pk=job.pk).update(payload=payload, checkpoint={"long": "y" * 200_000})

    claimed = taken(job)

    assert (claimed.payload, claimed.checkpoint) == (payload, {"long": "y" * 200_000})


def test_a_long_payload_of_the_next_job_arrives_in_place(principal: Principal) -> None:
    claimed = taken(first_job(principal, "crooked_long"))

    settled = complete(claimed, {"long": "x" * 200_000}, worker="w", in_place=True, queues=QUEUES, lease_s=60)

    assert settled.taken is not None and settled.taken.payload["long"] == "x" * 200_000


def test_requests_of_an_older_release_may_lack_keys(principal: Principal) -> None:
    """What is missing has the value that it had before there was such a key; what is unknown is ignored."""
    job = first_job(principal)

    taker = {"queues": list(QUEUES), "worker": "w", "unknown": 1}
    (claimed,) = database.call_many(
        "claim", items=Jsonb([{"job": str(job.pk), "unknown": 1}]), taker=taker, actor="w", waits=True
    )
    assert claimed is not None
    item = {"workflow": str(job.workflow_id), "job": str(job.pk), "token": claimed["token"], "state": "completed",
            "outcome": "completed", "output": {"parts": []}, "unknown": {"a": 1}}  # fmt: skip
    (settled,) = database.call_many("settle", items=Jsonb([item]), actor="w", waits=True)

    assert settled is not None and settled["status"] == "ok"
    assert Job.objects.get(workflow=job.workflow_id, type="crooked_count").state == "available"
    assert database.call("cancel", workflow=job.workflow_id, actor="w", reason="")["status"] == "ok"
    assert histories_are_legal()


def saying_more(answer: Any) -> Any:
    """An answer of a move with a key that nobody knows yet, at every depth."""
    if isinstance(answer, list):
        return [saying_more(item) for item in answer]
    if isinstance(answer, dict):
        return {name: saying_more(value) for name, value in answer.items()} | {"later": {"a": 1}}
    return answer


def test_answers_of_a_later_release_may_have_more_keys(principal: Principal) -> None:
    job = first_job(principal)
    remaining = database.call("remaining", job=job.pk)
    taker = {"queues": list(QUEUES), "worker": "w"}
    (claimed,) = database.call_many("claim", items=Jsonb([{"job": str(job.pk)}]), taker=taker, actor="w", waits=True)

    opened = Opened.of(saying_more(remaining))

    assert opened == Opened.of(remaining) and [link.id for link in opened.jobs] == [str(job.pk)]
    assert claimed and Claimed.of(saying_more(claimed)).id == job.pk
