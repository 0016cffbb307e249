"""Whatever somebody writes into the lists of the broker, the worker goes on, and so do the messages beside it."""

from __future__ import annotations

import base64
import json
import uuid
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from kombu.transport.redis import Channel

from agentapp.dispatch.broker import waiting
from agentapp.models import Job
from agentapp.services.principals import Principal
from tests.acceptance.deployment import until
from tests.agents import held as held  # registers the kinds
from tests.agents import record
from tests.runtime.test_strategy import completed, submit
from tests.runtime.worker_process import SLOTS, Worker, running_worker

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.acceptance]

LIST = f"model{Channel.sep}6"
MISSING = object()


@pytest.fixture
def worker(process_env: dict[str, str], broker: redis.Redis, tmp_path: Path) -> Iterator[Worker]:
    with running_worker(process_env | {"AGENTAPP_LEASE_S": "60"}, log=tmp_path / "worker.log", more=("-E",)) as worker:
        yield worker


def entry(*, text: bytes = b"", headers: Any = None, properties: Any = None, **more: Any) -> bytes:
    """A message of a job as it lies in its list, with what is given put in its place, or left out."""
    id = str(uuid.uuid4())
    usual_headers = {"lang": "py", "task": "hold_a_thread", "id": id, "root_id": id, "parent_id": None, "group": None}
    usual_properties = {
        "correlation_id": id, "reply_to": "", "delivery_mode": 2, "priority": 6, "body_encoding": "base64",
        "delivery_tag": str(uuid.uuid4()), "delivery_info": {"exchange": "", "routing_key": "model"},
    }  # fmt: skip
    text = text or json.dumps([[str(uuid.uuid4())], {}, {"callbacks": None, "chain": None, "chord": None}]).encode()
    message = {
        "body": base64.b64encode(text).decode(), "content-encoding": "utf-8", "content-type": "application/json",
        "headers": changed(usual_headers, headers), "properties": changed(usual_properties, properties),
    }  # fmt: skip
    return json.dumps(changed(message, more)).encode()


def changed(usual: dict[str, Any], changes: Any) -> Any:
    if changes is None:
        return usual
    if not isinstance(changes, dict):
        return changes
    return {name: value for name, value in (usual | changes).items() if value is not MISSING}


def alive(worker: Worker) -> bool:
    assert not worker.says("Unrecoverable error")
    return True


HOSTILE: Any = [None, 7, -1, 1e999, True, "", "x", "\ud800", [], [[]], {}, {"a": {}}, "x" * 100_000]
DEEP = b"[" * 200_000
# Of what lies in a list itself; the usual errors of a reader of JSON are the least of it.
UNREADABLE = (DEEP, b"\xff", b"", b"[]", json.dumps({"body": base64.b64encode(DEEP).decode()}).encode())


def hostile() -> Iterator[bytes]:
    for value in [*HOSTILE, MISSING]:
        for name in ("id", "task", "root_id", "group", "eta", "expires", "compression", "redelivered", "timelimit"):
            yield entry(headers={name: value})
        for name in ("priority", "delivery_info", "delivery_tag", "body_encoding", "correlation_id", "reply_to"):
            yield entry(properties={name: value})
        for name in ("body", "headers", "properties", "content-encoding", "content-type"):
            yield entry(**{name: value})
        yield entry(headers={"task": "nobody_knows_it", "id": value})
        yield entry(properties={"delivery_info": changed({}, {"exchange": value, "routing_key": value})})
    for kind in ("application/x-python-serialize", "application/x-yaml", "text/plain", "application/data"):
        content: dict[str, Any] = {"content-type": kind}
        yield entry(**content)
    yield entry(headers={"compression": "application/x-gzip"})
    yield entry(headers={"compression": "application/x-gzip"}, text=zlib.compress(b"[]"))
    yield entry(text=DEEP)
    yield entry(text=b"x" * 10_000_000)
    yield from (DEEP, b"", b"null", b"7", b'"x"', b"[[]]", b"{}", b"\x80\x04.", b"1e999")
    for kind, value in (("decimal", "x"), ("uuid", {}), ("uuid", {"no": 1}), ("bytes", 7), ("datetime", 7), ("x", 1)):
        yield json.dumps({"__type__": kind, "__value__": value}).encode()
        yield entry(headers={"id": {"__type__": kind, "__value__": value}})
    yield json.dumps({"__type__": [], "__value__": 1}).encode()


def test_no_entry_of_a_list_ends_a_worker_or_keeps_a_slot(
    worker: Worker, principal: Principal, broker: redis.Redis
) -> None:
    for one in hostile():
        broker.lpush(LIST, one)
    tasks = [submit(principal) for _ in range(2 * SLOTS)]
    until(lambda: alive(worker) and all(map(completed, tasks)), "the worker goes on")
    full = submit(principal, gate="full", jobs=SLOTS)
    until(lambda: Job.objects.filter(state="running").count() == SLOTS, "no slot is lost")
    record.let_go(broker, "full", count=SLOTS)
    until(lambda: completed(full), "all are completed")


def test_nothing_that_is_sent_to_all_workers_ends_them(
    worker: Worker, principal: Principal, broker: redis.Redis
) -> None:
    for one in hostile():
        until(lambda: alive(worker) and broker.pubsub_numpat(), "it listens, again after it was disturbed")
        broker.publish("/0.celery.pidbox", one)
    task = submit(principal)
    until(lambda: alive(worker) and completed(task), "the worker goes on")


def test_an_unreadable_entry_does_not_hide_those_beside_it(broker: redis.Redis) -> None:
    broker.lpush(LIST, *UNREADABLE, entry())
    found = waiting("model", 6)
    assert (found.count, len(found.oldest)) == (len(UNREADABLE) + 1, 1)
