"""Node as a client: its own EventSource and WebSocket, with a stream token, through a restart of the web process."""

from __future__ import annotations

import json
import shutil
import subprocess
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

import playwright
import pytest
import redis

from agentapp.local import ports
from agentapp.services import workflows
from agentapp.services.principals import Principal
from tests import harness
from tests.streams.conftest import serve
from tests.streams.test_chaos import run_some

pytestmark = pytest.mark.django_db(transaction=True)

SCRIPT = Path(__file__).with_name("follow.mjs")
# Playwright brings a Node of its own, which is newer than that of many systems.
NODES = (str(Path(playwright.__file__).parent / "driver" / "node"), shutil.which("node") or "")
FLAG = "--experimental-eventsource"


@cache
def node_with(name: str) -> str:
    """Return a Node that has the class `name`, or an empty text."""
    code = f"process.exit(typeof {name} === 'function' ? 0 : 1)"
    for node in filter(None, NODES):
        found = Path(node).is_file() and subprocess.run([node, FLAG, "-e", code], capture_output=True, check=False)
        if found and found.returncode == 0:
            return node
    return ""


class Follower:
    """A process of Node that follows a task, and what it has told so far."""

    def __init__(self, name: str, url: str) -> None:
        node = node_with(name)
        if not node:
            pytest.skip(f"neither Playwright's Node nor that of the system has {name}")
        self.process = subprocess.Popen([node, FLAG, str(SCRIPT), name, url], stdout=subprocess.PIPE, text=True)
        self.told: list[dict[str, Any]] = []

    def take(self) -> None:
        self.told.append(json.loads(next(iter(self.process.stdout or ()))))

    def take_the_rest(self) -> None:
        self.told += [json.loads(line) for line in self.process.stdout or ()]
        assert self.process.wait() == 0


def test_node_follows_a_task_through_a_restart_and_sees_each_event_once(
    token: str, principal: Principal, broker: redis.Redis
) -> None:
    task = workflows.submit(principal, kind="probe_fan", input={"parts": list(range(6))})
    port = ports.free(1)[0]
    with ExitStack() as stack, serve(port=port) as served:
        issued = served.web.ask("POST", "/stream-tokens", {"task": str(task.pk)}, Authorization=f"Bearer {token}")[2]
        below = f"{ports.HOST}:{port}/tasks/{task.pk}"
        wanted = {"EventSource": f"http://{below}/stream", "WebSocket": f"ws://{below}/ws"}
        followers = [Follower(name, f"{url}?token={issued['token']}") for name, url in wanted.items()]
        for each in followers:
            stack.callback(each.process.kill)
            each.take()
        run_some(task)
        for each in followers:
            each.take()
        served.process.terminate()
        served.process.wait()
        harness.drain(task)
        with serve(port=port):
            for each in followers:
                each.take_the_rest()

    task.refresh_from_db()
    assert task.state == "completed"
    for each in followers:
        assert [event["seq"] for event in each.told] == list(range(1, task.seq + 1))
        assert each.told[-1]["type"] == "done"
