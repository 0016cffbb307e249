"""Flower sees every job, and nobody sees Flower. [H8]"""

from __future__ import annotations

import os
import re
import socket
import subprocess
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.acceptance.deployment import Deployment, until
from tests.brokers.servers import VARIABLE
from tests.deploy.processes import DEPLOY

pytestmark = pytest.mark.acceptance

QUESTION = {
    "subject": "Invoices", "body": "Where do I find my invoices as PDF files?", "customer_email": "reader@sample.test"
}  # fmt: skip


def listed(deployment: Deployment, **query: str) -> dict[str, dict[str, Any]]:
    """Everything that Flower lists, by its own ids."""
    answer = deployment.flower.get("/api/tasks", params={"limit": "10000", **query}, auth=administrator(deployment))
    assert answer.status_code == 200, answer.text
    tasks: dict[str, dict[str, Any]] = answer.json()
    return tasks


def named(deployment: Deployment) -> set[tuple[str, str]]:
    """(task name, arguments) of what has succeeded, each with the time that it took."""
    succeeded = listed(deployment, state="SUCCESS").values()
    assert all(task["runtime"] >= 0 for task in succeeded)
    return {(task["name"], task["args"]) for task in succeeded}


def shows(deployment: Deployment, path: str, *words: str) -> bool:
    """Whether a page of Flower is answered well, and holds these words."""
    answer = deployment.flower.get(path, auth=administrator(deployment))
    return answer.status_code == 200 and all(word in answer.text for word in words)


def shows_every_tab(deployment: Deployment, job: dict[str, Any]) -> None:
    """Workers, one of them with its queues and its pool, tasks, one of them by its id, and the broker."""
    worker, id = f"model@{socket.gethostname()}", next(iter(listed(deployment, search=f"args:{job['id']}")))
    names = [f"{name}@{socket.gethostname()}" for name in ("model", "send", "documents", "webhooks")]
    until(lambda: shows(deployment, "/workers?refresh=1", *names), "Flower shows the workers")
    pages = {
        f"/worker/{worker}": (worker, "retrieval", "Prefetch Count"),
        f"/task/{id}": (job["type"], job["id"], "SUCCESS"),
        "/tasks": ('data-column="runtime"',), "/broker": ("Broker",),
    }  # fmt: skip
    for path, words in pages.items():
        until(lambda path=path, words=words: shows(deployment, path, *words), path)  # type: ignore[misc]


def test_flower_is_healthy_while_it_asks_for_a_password(deployment: Deployment) -> None:
    port = str(deployment.flower.base_url.port)
    env = os.environ | {"AGENTAPP_ALIVE_FILE": "", "PORT": "1", "FLOWER_PORT": port}

    assert subprocess.run([DEPLOY / "healthy"], env=env, check=False).returncode == 0


def queues_in_flower(deployment: Deployment) -> set[str]:
    """The queues whose length Flower has read from the broker."""
    answer = deployment.flower.get("/broker", auth=administrator(deployment))
    assert answer.status_code == 200, answer.text
    assert redis_password(deployment) not in answer.text
    return set(re.findall(r"<td>(\w+)</td>\s*<td[^>]*>\d+</td>", answer.text))


def redis_password(deployment: Deployment) -> str:
    return urlsplit(deployment.about["redis_url"]).password or "none"


def administrator(deployment: Deployment) -> tuple[str, str]:
    return deployment.about["admin_user"], deployment.about["admin_password"]


def test_flower_lists_every_job_by_its_own_task_name(deployment: Deployment) -> None:
    reply, traced = deployment.submit("support_reply", **QUESTION), deployment.submit("traced")
    deployment.reach(reply, "awaiting_approval")
    deployment.approve(reply)
    deployment.reach(reply, "completed")
    deployment.reach(traced, "completed")

    jobs = deployment.jobs(reply) + deployment.jobs(traced)
    ours = {(job["type"], f"('{job['id']}',)") for job in jobs}
    assert len(ours) >= 6 + 7
    until(lambda: ours <= named(deployment), "Flower lists all jobs")
    sought = jobs[0]["id"]
    found = listed(deployment, search=f"args:{sought}")
    assert {task["args"] for task in found.values()} == {f"('{sought}',)"}
    shows_every_tab(deployment, jobs[0])


@pytest.mark.skipif(VARIABLE in os.environ, reason="other brokers are asked by Flower in ways of their own")
def test_flower_reads_the_length_of_queues_from_the_broker(deployment: Deployment) -> None:
    assert "model" in queues_in_flower(deployment)


@pytest.mark.parametrize("path", ["/", "/tasks", "/api/tasks", "/api/workers", "/metrics", "/healthcheck"])
def test_a_stranger_sees_nothing(deployment: Deployment, path: str) -> None:
    for auth in (None, ("admin", "guess")):
        assert deployment.flower.get(path, auth=auth).status_code == 401


@pytest.mark.parametrize(
    "path",
    [
        "/api/task/apply/traced_begin",
        "/api/task/async-apply/traced_begin",
        "/api/task/send-task/traced_begin",
        "/api/task/revoke/00000000-0000-0000-0000-000000000000",
        "/api/worker/shutdown/{worker}",
        "/api/worker/pool/shrink/{worker}?n=1",
        "/api/worker/queue/cancel-consumer/{worker}?queue=model",
    ],
)
def test_those_who_may_look_may_not_touch(deployment: Deployment, path: str) -> None:
    address = path.format(worker=f"model@{socket.gethostname()}")

    assert deployment.flower.post(address, json={"args": []}, auth=administrator(deployment)).status_code in {
        401,
        403,
        404,
        405,
    }
    assert deployment.pid("worker_model")
    deployment.reach(deployment.submit("held_threads"), "completed")
