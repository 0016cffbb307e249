"""Equal requests over real connections, while the web process is killed under them: one task for each name. [A6]"""

from __future__ import annotations

import http.client
import json
import os
import threading
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest

from agentapp.local import ports
from agentapp.models import IdempotencyKey, Tenant, Workflow
from agentapp.policies.permissions import API_SCOPES
from agentapp.services import api_keys
from tests.api.conftest import QUESTION
from tests.streams.conftest import serve

pytestmark = pytest.mark.django_db(transaction=True)
NAMES = 20
EQUAL = 200 if os.environ.get("AGENTAPP_CHAOS") == "long" else 10
BODY = json.dumps({"kind": "support_reply", "input": QUESTION})
KILLED_AFTER = 60
LONGEST_S = 240


@dataclass
class Answers:
    """What the clients were told: the tasks of each name, and how many answers there were."""

    tasks: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    count: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    many: threading.Event = field(default_factory=threading.Event)

    def take(self, name: str, task: str) -> None:
        with self.lock:
            self.tasks[name].add(task)
            self.count += 1
            if self.count == KILLED_AFTER:
                self.many.set()


def insist(port: int, token: str, name: str, answers: Answers) -> None:
    """Send a request until it is answered, as a client does whose connection breaks."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json", "Idempotency-Key": name}
    deadline = time.monotonic() + LONGEST_S
    while time.monotonic() < deadline:
        connection = http.client.HTTPConnection(ports.HOST, port, timeout=60)
        try:
            connection.request("POST", "/tasks", BODY, headers)
            answer = connection.getresponse()
            content = answer.read()
            if answer.status == 202:
                answers.take(name, json.loads(content)["id"])
                return
            assert answer.status in (409, 503), content
        except (OSError, http.client.HTTPException):
            pass
        finally:
            connection.close()
        time.sleep(0.05)
    raise AssertionError("the request was never answered")


def test_one_task_for_each_name_whatever_dies_in_between(tenant: Tenant) -> None:
    _, token = api_keys.create(tenant=tenant, name="live", scopes=list(API_SCOPES))
    answers, (port,) = Answers(), ports.free(1)
    names = [f"name-{number}" for number in range(NAMES)]
    with ThreadPoolExecutor(NAMES * EQUAL) as clients:
        with serve(port=port) as first:
            asked = [clients.submit(insist, port, token, name, answers) for _ in range(EQUAL) for name in names]
            assert answers.many.wait(LONGEST_S)
            first.process.kill()
            first.process.wait()
        with serve(port=port):
            for each in asked:
                each.result()

    assert answers.count == NAMES * EQUAL
    assert {len(tasks) for tasks in answers.tasks.values()} == {1}
    assert Workflow.objects.count() == IdempotencyKey.objects.count() == NAMES
