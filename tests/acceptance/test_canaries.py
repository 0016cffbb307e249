"""The secrets of the whole stack stand nowhere that people, clients or operators look. [B3] [INV9]

tests/runtime/test_canaries.py shows that the same bodies are found out where nothing is redacted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
import redis

from tests import canaries
from tests.acceptance.deployment import Deployment, client_of, until
from tests.acceptance.test_flower import administrator, listed, redis_password
from tests.agents import leaking
from tests.tasks.agent_runs import call, script

pytestmark = pytest.mark.acceptance

ECHO = script([call("http_get", endpoint="outside", path="echo")], "Done.")
API = ("", "/jobs", "/events", "/artifacts", "/messages")


def secrets(deployment: Deployment) -> dict[str, str]:
    """Every secret of the stack by its name: those that bodies leak, and those that nothing should ever write."""
    about = deployment.about
    return {
        **leaking.CANARIES,
        "redis": redis_password(deployment),
        "signing key": (deployment.home / "secret_key").read_text().strip(),
        "key": about["api_key"], "key of the approver": about["approver_api_key"], "admin": about["admin_password"],
    }  # fmt: skip


@pytest.fixture
def admin(deployment: Deployment) -> Iterator[httpx2.Client]:
    """A browser in which the administrator is signed in."""
    with client_of(deployment.about["url"]) as client:
        name, password = administrator(deployment)
        page = client.get("/admin/login/")
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
        assert token is not None
        form = {"username": name, "password": password, "csrfmiddlewaretoken": token[1]}
        assert client.post("/admin/login/", data=form).status_code == 302
        yield client


def of_pages(client: httpx2.Client, *more: str) -> dict[str, str]:
    """Every list of the admin, and what `more` names."""
    index = client.get("/admin/").text
    lists = set(re.findall(r'href="(/admin/[a-z_]+/[a-z_]+/)"', index))
    assert len(lists) > 10
    return {path: client.get(path).text for path in sorted({*lists, "/admin/", *more})}


def of_files(deployment: Deployment) -> dict[str, str]:
    """The logs of all processes, the artifacts and the mails."""
    return {
        str(path.relative_to(deployment.home)): path.read_text(errors="replace")
        for folder in ("logs", "artifacts", "outbox", "media")
        for path in (deployment.home / folder).rglob("*")
        if path.is_file()
    }


def of_flower(deployment: Deployment) -> dict[str, str]:
    paths = ("/api/tasks?limit=10000", "/api/workers?refresh=1", "/tasks", "/workers", "/broker", "/nowhere")
    return {path: deployment.flower.get(path, auth=administrator(deployment)).text for path in paths}


def of_api(deployment: Deployment, *tasks: str) -> dict[str, str]:
    paths = [f"/tasks/{task}{what}" for task in tasks for what in API]
    more = ("/dead-letters", "/tasks", "/queues", "/readyz", "/openapi.json", "/nowhere", "/tasks/none", "/")
    answers = {path: deployment.ask("GET", path, key="approver_api_key").text for path in (*paths, *more)}
    refused: dict[str, Any] = {"kind": "leaking", "input": {"more": 1}}
    return {**answers, "a refusal": deployment.ask("POST", "/tasks", refused).text}


def published(deployment: Deployment, told: redis.client.PubSub) -> Iterator[str]:
    """Everything that was published while somebody listened, up to a last word of ours."""
    deployment.broker.publish("end-of-the-test", "the end")
    for message in told.listen():
        yield canaries.readable(message)
        if message["channel"] == b"end-of-the-test":
            return


def test_no_secret_of_the_stack_is_shown_or_written_anywhere(deployment: Deployment, admin: httpx2.Client) -> None:
    with deployment.sql() as session, session.cursor() as cursor:
        began = canaries.now(cursor)
    told = deployment.broker.pubsub()
    told.psubscribe("*")
    leaking_task, agent = deployment.submit("leaking"), deployment.submit("agent", instruction=ECHO, tools=["http_get"])
    deployment.reach(leaking_task, "needs_attention")
    deployment.reach(agent, "completed")
    jobs = [*deployment.jobs(leaking_task), *deployment.jobs(agent)]
    ours = {f"('{job['id']}',)" for job in jobs if job["state"] in {"completed", "dead_lettered"}}
    until(lambda: ours <= {task["args"] for task in listed(deployment).values()}, "Flower lists all jobs")
    with deployment.sql() as session, session.cursor() as cursor:
        rows = canaries.of_rows(cursor, since=began)
    stream = deployment.ask("GET", f"/tasks/{agent}/stream", key="approver_api_key")
    places = {
        **rows, **canaries.of_broker(deployment.broker), **of_files(deployment), **of_flower(deployment),
        **of_api(deployment, leaking_task, agent), "stream": stream.text,
        "messages": "\n".join(published(deployment, told)),
        **of_pages(admin, f"/console/tasks/{agent}/", f"/console/tasks/{leaking_task}/", "/admin/nowhere/"),
    }  # fmt: skip
    told.close()

    for name, secret in secrets(deployment).items():
        assert canaries.hits(places, [secret]) == set(), name
    # The bodies have really had them, and the agent's secret has been sent.
    assert "[secret]" in deployment.log("worker_model") and "[secret]" in rows["agentapp_effect"]
    (result,) = [job["output"] for job in deployment.jobs(agent) if job["type"] == "run_tool"]
    assert "Bearer [secret]" in result["text"] and "[secret]" in places[f"/tasks/{leaking_task}/jobs"]
    assert "task-succeeded" in places["messages"]
