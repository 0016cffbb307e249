"""/webhook-deliveries by their state, and a callback_url in a request that is repeated."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from agentapp.models import ApiKey, Workflow
from agentapp.services.principals import of_key
from tests.api.conftest import Api
from tests.api.test_webhooks import loopback_is_allowed as loopback_is_allowed
from tests.api.test_webhooks import make
from tests.api.test_webhooks import well as well
from tests.delivery import receiver
from tests.delivery.receiver import Receiver, receiving
from tests.webhooks import world

pytestmark = pytest.mark.django_db


def test_a_request_is_repeated_though_its_callback_url_resolves_no_longer(
    api: Api, well: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolver, name = socket.getaddrinfo, "hooks.example.test"
    body = {"kind": "probe_fan", "input": {}, "callback_url": well.url.replace("127.0.0.1", name)}

    def known(host: Any, *args: Any, **more: Any) -> Any:
        return resolver("127.0.0.1" if host == name else host, *args, **more)

    def forgotten(host: Any, *args: Any, **more: Any) -> Any:
        if host == name:
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        return resolver(host, *args, **more)

    def send(priority: str = "normal") -> Any:
        return api.post("/tasks", body | {"priority": priority}, **{"Idempotency-Key": "abc"})

    monkeypatch.setattr(socket, "getaddrinfo", known)
    first = send()
    assert first.status_code == 202, first.content
    monkeypatch.setattr(socket, "getaddrinfo", forgotten)
    again, other = send(), send("high")

    assert (again.status_code, again.json()["id"]) == (202, first.json()["id"]), again.content
    assert again["Idempotency-Replayed"] == "true"
    assert other.json()["type"].endswith("/problems/idempotency-key-reused")
    assert api.post("/tasks", body).status_code == 422


def test_deliveries_are_filtered_by_their_state(api: Api, api_key: ApiKey, well: Receiver) -> None:
    with receiving(receiver.status(500)) as broken:
        made, failing = make(api, well, events=["task.completed"]), make(api, broken, events=["task.completed"])
        world.finish_a_task(of_key(api_key))
        world.deliver()
        world.finish_a_task(of_key(api_key))
        world.spread()

    def states(path: str = "/webhook-deliveries", *wanted: str) -> list[str]:
        query = "&".join(f"state={state}" for state in wanted)
        return sorted(each["state"] for each in api.get(f"{path}?{query}").json()["results"])

    everything = ["delivered", "pending", "pending", "retrying"]
    assert states() == everything
    assert [states("/webhook-deliveries", state) for state in ("delivered", "retrying", "gone")] == [
        ["delivered"], ["retrying"], [],
    ]  # fmt: skip
    assert states("/webhook-deliveries", "pending", "delivered") == ["delivered", "pending", "pending"]
    assert states(f"/webhook-endpoints/{made['id']}/deliveries", "retrying") == []
    assert states(f"/webhook-endpoints/{failing['id']}/deliveries", "retrying") == ["retrying"]
    assert api.get("/webhook-deliveries", state="lost").status_code == 400
    # Of workflows that are kept no longer, the log tells.
    Workflow.objects.filter(origin="webhook").delete()
    assert states("/webhook-deliveries", "delivered", "cancelled") == [
        "cancelled",
        "cancelled",
        "cancelled",
        "delivered",
    ]
