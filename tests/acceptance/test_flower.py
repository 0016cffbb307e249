"""Flower sees every job, and nobody sees Flower. [H8]"""

from __future__ import annotations

import re
import socket
from typing import Any

import pytest

from tests.acceptance.house import House, until

pytestmark = pytest.mark.acceptance

QUESTION = {
    "subject": "Invoices", "body": "Where do I find my invoices as PDF files?", "customer_email": "reader@sample.test"
}  # fmt: skip


def listed(house: House) -> set[tuple[str, str]]:
    """(task name, arguments) of everything that Flower lists."""
    answer = house.flower.get("/api/tasks?limit=10000", auth=administrator(house))
    assert answer.status_code == 200, answer.text
    tasks: dict[str, dict[str, Any]] = answer.json()
    return {(task["name"], task["args"]) for task in tasks.values()}


def administrator(house: House) -> tuple[str, str]:
    return house.about["admin_user"], house.about["admin_password"]


def test_flower_lists_every_job_by_its_own_task_name(house: House) -> None:
    reply, traced = house.submit("support_reply", **QUESTION), house.submit("traced")
    house.reach(reply, "awaiting_approval")
    house.approve(reply)
    house.reach(reply, "completed")
    house.reach(traced, "completed")

    jobs = house.jobs(reply) + house.jobs(traced)
    ours = {(job["type"], f"('{job['id']}',)") for job in jobs}
    assert len(ours) >= 6 + 7
    until(lambda: ours <= listed(house), "Flower lists all jobs")


@pytest.mark.parametrize("path", ["/", "/tasks", "/api/tasks", "/api/workers"])
def test_a_stranger_sees_nothing(house: House, path: str) -> None:
    for auth in (None, ("admin", "guess")):
        assert house.flower.get(path, auth=auth).status_code == 401


@pytest.mark.parametrize("path", ["/metrics", "/healthcheck"])
def test_what_flower_leaves_open_names_no_job(house: House, path: str) -> None:
    task = house.submit("held_threads")
    house.reach(task, "completed")

    open_to_all = house.flower.get(path)
    assert open_to_all.status_code == 200
    assert not re.search(r"[0-9a-f]{8}-[0-9a-f]{4}-", open_to_all.text)


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
def test_those_who_may_look_may_not_touch(house: House, path: str) -> None:
    address = path.format(worker=f"model@{socket.gethostname()}")

    assert house.flower.post(address, json={"args": []}, auth=administrator(house)).status_code in {401, 403, 404, 405}
    assert house.pid("worker_model")
    house.reach(house.submit("held_threads"), "completed")
