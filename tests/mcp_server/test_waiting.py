"""wait_for_task: until a task is over or a person's turn, and no longer than the key and the process."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from typing import Any

import pytest
from django.db import connection
from mcp import Client

from agentapp.lifecycle import database
from agentapp.models import ApiKey
from agentapp.services import api_keys, workflows
from agentapp.services.principals import Principal
from tests import harness
from tests.api.live import environment
from tests.mcp_server.conftest import Assistant
from tests.streams.conftest import Served, serve

pytestmark = pytest.mark.django_db(transaction=True)

LONG_S = 55
# Well below LONG_S: an answer that only the end of the waiting brings does not come in time.
ANSWER_S = 30
# Of what tells by itself what it was that ended it.
END_S, FAR_S = 120, 600
# More than there are threads for tools.
MANY = 20
MakeKey = Callable[..., tuple[ApiKey, str]]


@pytest.fixture
def served(transactional_db: None) -> Iterator[Served]:
    with serve("--timeout-graceful-shutdown", str(FAR_S), env={"AGENTAPP_DB_POOL_MAX": "1"}) as found:
        yield found


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(MANY) as found:
        yield found


def waiting(pool: ThreadPoolExecutor, assistant: Assistant, task: Any) -> Future[Any]:
    """Begin a call that waits, and return what it will answer."""
    arguments = {"task_id": str(task.pk), "timeout_s": LONG_S}

    async def ask(client: Client) -> Any:
        # It compares an answer with the schema of its tool, and would ask for that when the process has ended.
        await client.list_tools()
        return await client.call_tool("wait_for_task", arguments)

    return pool.submit(assistant.with_client, ask)


@pytest.fixture
def until_it_waits(transactional_db: None) -> Callable[[], None]:
    """Return what waits until the web process of this test has read the history of a task, which it does for a call
    that waits for more of it."""
    began_at = database.now()

    def wait() -> None:
        deadline = time.monotonic() + END_S
        while not _sessions_that_read_histories(since=began_at):
            assert time.monotonic() < deadline, "no call waits"
            time.sleep(0.02)

    return wait


def _sessions_that_read_histories(*, since: datetime) -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
            "AND query LIKE '%%WITH wanted AS%%' AND query_start > %s",
            [since],
        )
        return int(cursor.fetchone()[0])


def test_a_call_waits_until_the_task_is_a_persons_turn_and_then_until_it_is_over(
    served: Served,
    pool: ThreadPoolExecutor,
    make_key: MakeKey,
    principal: Principal,
    until_it_waits: Callable[[], None],
) -> None:
    mine = Assistant(f"{served.web.url}/mcp", make_key()[1])
    task = workflows.submit(principal, kind="probe_decision", input={"text": "hello"})
    found = waiting(pool, mine, task)
    until_it_waits()
    harness.drain(task)

    answer = found.result(ANSWER_S).structured_content
    assert (answer["state"], answer["result"]) == ("awaiting_approval", None)

    (shown,) = mine.call("list_approvals", task_id=str(task.pk))["approvals"]
    mine.call("decide_approval", approval_id=shown["id"], decision="reject", reason="no",
              content_sha256=shown["content_sha256"])  # fmt: skip
    answer = waiting(pool, mine, task).result(ANSWER_S).structured_content
    assert answer["state"] in ("failed", "cancelled", "completed")


def test_the_time_ends_and_the_task_is_as_it_is(served: Served, make_key: MakeKey, principal: Principal) -> None:
    task = workflows.submit(principal, kind="probe_fan", input={})

    answer = Assistant(f"{served.web.url}/mcp", make_key()[1]).call("wait_for_task", task_id=str(task.pk), timeout_s=1)

    assert (answer["state"], answer["next_step"]) == ("pending", "It is not over: call wait_for_task.")


def test_calls_that_wait_hold_no_thread_and_no_connection(
    served: Served,
    pool: ThreadPoolExecutor,
    make_key: MakeKey,
    principal: Principal,
    until_it_waits: Callable[[], None],
) -> None:
    """More wait than there are threads, with one connection for all; what else is asked is answered meanwhile."""
    mine = Assistant(f"{served.web.url}/mcp", make_key()[1])
    tasks = [workflows.submit(principal, kind="probe_fan", input={}) for _ in range(MANY)]
    found = [waiting(pool, mine, task) for task in tasks]
    until_it_waits()

    for task in tasks:
        assert mine.call("cancel_task", task_id=str(task.pk))["state"] == "cancelled"

    assert {future.result(ANSWER_S).structured_content["state"] for future in found} == {"cancelled"}


def test_who_hangs_up_is_not_waited_for(make_key: MakeKey, principal: Principal) -> None:
    task = workflows.submit(principal, kind="probe_fan", input={})
    command = [sys.executable, "-m", "tests.mcp_server.hanging_up", str(task.pk), make_key()[1]]

    subprocess.run(command, env=environment(), timeout=END_S, check=True)


def test_a_key_that_is_revoked_waits_no_longer(
    served: Served,
    pool: ThreadPoolExecutor,
    make_key: MakeKey,
    principal: Principal,
    until_it_waits: Callable[[], None],
) -> None:
    key, token = make_key()
    task = workflows.submit(principal, kind="probe_fan", input={})
    found = waiting(pool, Assistant(f"{served.web.url}/mcp", token), task)
    until_it_waits()
    api_keys.revoke(key)

    answer = found.result(ANSWER_S)
    assert answer.is_error
    assert "revoked" in answer.content[0].text


def test_a_process_that_is_told_to_end_answers_what_waits(
    served: Served,
    pool: ThreadPoolExecutor,
    make_key: MakeKey,
    principal: Principal,
    until_it_waits: Callable[[], None],
) -> None:
    """It waits ten minutes for open connections here: a call that waits on shows as a process that does not end."""
    task = workflows.submit(principal, kind="probe_fan", input={})
    found = waiting(pool, Assistant(f"{served.web.url}/mcp", make_key()[1]), task)
    until_it_waits()
    served.process.send_signal(signal.SIGTERM)

    served.process.wait(timeout=END_S)
    assert found.result(END_S).structured_content["state"] == "pending"
