"""Many clients that are cut again and again, while the web process is killed, Postgres is away, and the broker loses
its data.

AGENTAPP_CHAOS=long follows with 300 streams.
"""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Iterator

import pytest
import redis
from websockets.exceptions import WebSocketException

from agentapp.local import ports
from agentapp.models import Job, Workflow
from agentapp.runtime import runner
from agentapp.services import workflows
from agentapp.services.principals import Principal
from tests import harness, outage
from tests.streams.conftest import Served, serve
from tests.streams.following import Told, following, socket
from tests.streams.following import told as told_by

# Each client reads all there is in a thread of its own, beside what it follows.
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(1_800)]

STREAMS = 300 if os.environ.get("AGENTAPP_CHAOS") == "long" else 16
TASKS = 4


class Client(threading.Thread):
    """Follows a task to its end over connections that break after a few events, each resuming where the last ended."""

    def __init__(self, number: int, port: int, task: Workflow, token: str) -> None:
        super().__init__(name=f"client {number}")
        self._random = random.Random(number)
        self._port, self._path, self._token = port, f"/tasks/{task.pk}", token
        self.is_socket = number % 4 == 0
        self.seqs: list[int] = []
        self.connections = 0
        self.is_over = False

    def run(self) -> None:
        while not self.is_over:
            try:
                self._connect(cut_after=self._random.randint(1, 12))
            except (OSError, WebSocketException):
                # Nobody is there: the process is being replaced.
                threading.Event().wait(0.05)

    def _connect(self, *, cut_after: int) -> None:
        place = self.seqs[-1] if self.seqs else 0
        self.connections += 1
        if self.is_socket:
            with socket(self._port, f"{self._path}/ws?last_event_id={place}", token=self._token) as found:
                self._take(told_by(found), cut_after)
        else:
            path, header = f"{self._path}/stream", {"Last_Event_ID": str(place)}
            with following(self._port, path, token=self._token, **header) as stream:
                if stream.status == 200:
                    self._take(iter(stream), cut_after)

    def _take(self, events: Iterator[Told], cut_after: int) -> None:
        for _, event in zip(range(cut_after), events, strict=False):
            if event.type == "end":
                self.is_over = event.data["reason"] == "done"
                return
            self.seqs.append(event.seq)


def run_some(task: Workflow) -> None:
    """Run the first jobs of a task, and leave the rest."""
    harness.be_a_worker()
    for _ in range(12):
        job = Job.objects.filter(workflow=task, state="available").order_by("id").first()
        if job is not None:
            runner.run(str(job.pk))


def until_status(served: Served, status: int) -> None:
    while served.web.ask("GET", "/readyz")[0] != status:
        threading.Event().wait(0.05)


def test_no_client_misses_an_event_or_gets_one_twice(token: str, principal: Principal, broker: redis.Redis) -> None:
    tasks = [workflows.submit(principal, kind="probe_fan", input={"parts": list(range(25))}) for _ in range(TASKS)]
    port = ports.free(1)[0]
    clients = [Client(n, port, tasks[n % TASKS], token) for n in range(STREAMS)]
    for client in clients:
        client.start()
    for n, task in enumerate(tasks):
        with serve(port=port) as served:
            if n % 2:
                broker.flushall()
            run_some(task)
            if n == 0:
                # As a restart of Postgres: all sessions end, and none begins until the web process has noticed.
                with outage.refusing():
                    until_status(served, 503)
                until_status(served, 200)
            broker.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
            served.process.terminate() if n % 2 else served.process.kill()
            served.process.wait()
    with serve(port=port):
        for task in tasks:
            harness.drain(task)
        for client in clients:
            client.join()

    lasts = dict(Workflow.objects.values_list("pk", "seq"))
    for n, client in enumerate(clients):
        assert client.seqs == list(range(1, lasts[tasks[n % TASKS].pk] + 1)), client.name
    assert sum(client.connections for client in clients) > 2 * STREAMS
