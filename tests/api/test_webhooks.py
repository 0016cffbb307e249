"""/webhook-endpoints and /webhook-deliveries as a client uses them."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings
from standardwebhooks import Webhook

from agentapp import clock as clock_module
from agentapp.models import ApiKey, Job, Tenant, WebhookDelivery, WebhookEndpoint
from agentapp.services.principals import of_key
from tests.api.conftest import Api
from tests.delivery import hostile_urls, receiver
from tests.delivery.receiver import Receiver, receiving
from tests.harness import drain, make_due
from tests.webhooks import world

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def loopback_is_allowed(settings: Settings) -> None:
    settings.AGENTAPP_WEBHOOK_ALLOWED_NETWORKS = [ipaddress.ip_network("127.0.0.0/8")]


@pytest.fixture
def well() -> Iterator[Receiver]:
    with receiving(receiver.status(200)) as listening:
        yield listening


def make(api: Api, well: Receiver, **more: Any) -> dict[str, Any]:
    answer = api.post("/webhook-endpoints", {"url": well.url} | more)
    assert answer.status_code == 201, answer.content
    shape: dict[str, Any] = answer.json()
    return shape


def patch(api: Api, path: str, body: Any) -> Any:
    return api.client.patch(path, body, content_type="application/json", headers=api.headers)


def test_an_endpoint_is_made_and_its_secret_is_shown_once(api: Api, well: Receiver) -> None:
    made = make(api, well, description="Orders", events=["task.failed", "task.completed"])

    assert made["secret"].startswith("whsec_")
    shown = api.get(f"/webhook-endpoints/{made['id']}").json()
    assert shown == {name: value for name, value in made.items() if name != "secret"}
    assert (shown["url"], shown["description"], shown["is_enabled"]) == (well.url, "Orders", True)
    assert shown["events"] == ["task.completed", "task.failed"]
    assert api.get("/webhook-endpoints").json()["results"] == [shown]
    stored = WebhookEndpoint.objects.get()
    assert made["secret"] not in str(vars(stored)) and bytes(stored.salt) not in made["secret"].encode()


def test_an_endpoint_is_changed_and_deleted(api: Api, well: Receiver) -> None:
    address = f"/webhook-endpoints/{make(api, well)['id']}"

    changed = patch(api, address, {"events": ["task.failed"], "is_enabled": False}).json()

    assert (changed["events"], changed["is_enabled"], changed["url"]) == (["task.failed"], False, well.url)
    assert changed["disabled_reason"].startswith("Disabled by the key test")
    enabled = patch(api, address, {"is_enabled": True}).json()
    assert (enabled["is_enabled"], enabled["disabled_reason"], enabled["events"]) == (True, None, ["task.failed"])
    assert api.delete(address).status_code == 204
    assert api.get(address).status_code == 404


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "url"),
        ({"url": 1}, "url"),
        ({"url": "http://127.0.0.1/", "events": ["task.exploded"]}, "events"),
        ({"url": "http://127.0.0.1/", "description": "x" * 201}, "description"),
        ({"url": "http://127.0.0.1/", "secret": "mine"}, "secret"),
        ({"url": "http://10.0.0.1/"}, "url"),
        ({"url": "https://user:password@127.0.0.1/"}, "url"),
    ],
)
def test_what_does_not_fit_is_refused_by_its_field(api: Api, body: dict[str, Any], field: str) -> None:
    answer = api.post("/webhook-endpoints", body)

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == field
    assert not WebhookEndpoint.objects.exists()


def test_no_hostile_url_becomes_an_endpoint_or_a_callback(api: Api, well: Receiver, settings: Settings) -> None:
    settings.AGENTAPP_WEBHOOK_ALLOWED_NETWORKS = []
    urls = [url for url in hostile_urls.at(well.port) if not url.partition("//")[2].split(":")[0].endswith(".test")]

    answers = {api.post("/webhook-endpoints", {"url": url}).status_code for url in urls}
    answers |= {api.submit(callback_url=url).status_code for url in urls if url}

    assert answers == {422}
    assert well.connections == 0


def test_a_tenant_has_a_limited_number_of_endpoints(api: Api, well: Receiver) -> None:
    for _ in range(20):
        make(api, well)

    answer = api.post("/webhook-endpoints", {"url": well.url})

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "url")


def test_after_a_rotation_both_secrets_verify(api: Api, well: Receiver) -> None:
    made = make(api, well)

    rotated = api.post(f"/webhook-endpoints/{made['id']}/rotate").json()
    assert rotated["secret"] != made["secret"] and rotated["previous_secret_until"]
    assert api.post(f"/webhook-endpoints/{made['id']}/test").status_code == 202
    drain()

    request = well.requests[0]
    assert len(request.headers["webhook-signature"].split(" ")) == 2
    for secret in (made["secret"], rotated["secret"]):
        assert Webhook(secret).verify(request.body, request.headers)["type"] == "webhook.test"


def test_a_test_event_is_delivered_and_logged(api: Api, well: Receiver) -> None:
    made = make(api, well, events=["task.failed"])

    sent = api.post(f"/webhook-endpoints/{made['id']}/test")
    assert (sent.status_code, sent.json()["state"]) == (202, "pending")
    assert sent.headers["Location"].endswith(f"/webhook-deliveries/{sent.json()['id']}")
    drain()

    shown = api.get(f"/webhook-deliveries/{sent.json()['id']}").json()
    assert (shown["state"], shown["event"], shown["task"]) == ("delivered", "webhook.test", None)
    assert shown["payload"]["data"] == {"endpoint": made["id"]}
    tried = shown["attempts"][0]
    assert (tried["status"], tried["answer"], tried["error"]) == (200, "ok", None) and tried["ms"] >= 0
    assert api.get(f"/webhook-endpoints/{made['id']}/deliveries").json()["results"] == [shown]


def test_a_delivery_is_sent_again_under_the_same_webhook_id(api: Api, well: Receiver) -> None:
    made = make(api, well)
    first = api.post(f"/webhook-endpoints/{made['id']}/test").json()
    drain()

    again = api.post(f"/webhook-deliveries/{first['id']}/resend")
    assert again.status_code == 202
    drain()

    assert again.json()["id"] != first["id"] and again.json()["webhook_id"] == first["webhook_id"]
    assert {request.headers["webhook-id"] for request in well.requests} == {first["webhook_id"]}
    assert len(well.requests) == 2


def test_nothing_is_sent_to_a_disabled_endpoint_on_demand(api: Api, well: Receiver) -> None:
    made = make(api, well)
    sent = api.post(f"/webhook-endpoints/{made['id']}/test").json()
    patch(api, f"/webhook-endpoints/{made['id']}", {"is_enabled": False})

    assert api.post(f"/webhook-endpoints/{made['id']}/test").status_code == 409
    assert api.post(f"/webhook-deliveries/{sent['id']}/resend").status_code == 409


def test_a_callback_url_is_told_and_verified_with_the_secret_of_its_tenant(
    api: Api, api_key: ApiKey, well: Receiver
) -> None:
    task = world.finish_a_task(of_key(api_key), callback_url=well.url)
    world.deliver()

    secret = api.post("/webhook-endpoints/callback-secret").json()["secret"]
    told = Webhook(secret).verify(well.requests[0].body, well.requests[0].headers)
    assert (told["data"]["id"], told["data"]["callback_url"]) == (str(task.pk), well.url)
    shown = api.get("/webhook-deliveries", task=str(task.pk)).json()["results"]
    assert [(each["endpoint"], each["url"], each["state"]) for each in shown] == [(None, well.url, "delivered")]
    assert api.get("/webhook-deliveries", task="0" * 32).json()["results"] == []


def test_a_dead_letter_of_a_delivery_is_a_delivery_to_its_client(
    api: Api, api_key: ApiKey, clock: clock_module.Clock
) -> None:
    with receiving(receiver.status(500)) as broken:
        make(api, broken)
        world.finish_a_task(of_key(api_key))
        world.deliver()
        for _ in range(7):
            make_due(clock, 16 * 3600)
            drain()

    assert api.get("/dead-letters").json()["results"] == []
    (shown,) = api.get("/webhook-deliveries").json()["results"]
    assert (shown["state"], shown["reason"], len(shown["attempts"])) == ("dead_lettered", "It answered 500.", 8)


def test_another_tenant_sees_and_changes_nothing(
    api: Api, other_tenant: Tenant, make_key: Callable[..., Any], well: Receiver
) -> None:
    made = make(api, well)
    sent = api.post(f"/webhook-endpoints/{made['id']}/test").json()
    other = Api(make_key(other_tenant)[1])

    endpoint, delivery = f"/webhook-endpoints/{made['id']}", f"/webhook-deliveries/{sent['id']}"
    assert {other.get(path).status_code for path in (endpoint, f"{endpoint}/deliveries", delivery)} == {404}
    posts = (f"{endpoint}/rotate", f"{endpoint}/test", f"{delivery}/resend")
    assert {other.post(path).status_code for path in posts} == {404}
    assert (patch(other, endpoint, {"is_enabled": False}).status_code, other.delete(endpoint).status_code) == (404, 404)
    assert other.get("/webhook-endpoints").json()["results"] == []
    assert other.get("/webhook-deliveries").json()["results"] == []
    secrets = {each.post("/webhook-endpoints/callback-secret").json()["secret"] for each in (api, other)}
    assert len(secrets) == 2


def test_reading_and_writing_need_their_scopes(tenant: Tenant, make_key: Callable[..., Any], well: Receiver) -> None:
    reader, writer = (Api(make_key(tenant, scope)[1]) for scope in ("webhooks:read", "webhooks:write"))

    assert reader.get("/webhook-endpoints").status_code == 200
    assert reader.post("/webhook-endpoints", {"url": well.url}).status_code == 403
    assert reader.post("/webhook-endpoints/callback-secret").status_code == 403
    made = make(writer, well)
    assert writer.get(f"/webhook-endpoints/{made['id']}").status_code == 403
    assert writer.post(f"/webhook-endpoints/{made['id']}/rotate").status_code == 200


def test_without_a_key_nothing_is_open() -> None:
    assert Client().get("/webhook-endpoints").status_code == 401


def test_deliveries_are_no_tasks_of_the_client(api: Api, api_key: ApiKey, well: Receiver) -> None:
    make(api, well)
    task = world.finish_a_task(of_key(api_key))
    world.spread()

    delivery = WebhookDelivery.objects.get()
    assert [each["id"] for each in api.get("/tasks").json()["results"]] == [str(task.pk)]
    assert api.get(f"/tasks/{delivery.workflow_id}").status_code == 404
    assert api.post(f"/tasks/{delivery.workflow_id}/cancel").status_code == 404
    assert api.submit(kind="webhook_delivery").status_code == 422
    (job,) = Job.objects.filter(workflow=delivery.workflow_id)
    assert api.get(f"/jobs/{job.pk}").status_code == 404
