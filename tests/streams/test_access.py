"""Who may open a stream, with a key or with a token, and whose streams are ended."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User

from agentapp import clock
from agentapp.lifecycle import database
from agentapp.models import ApiKey, Membership, Tenant, Workflow
from agentapp.services import api_keys, principals, workflows
from agentapp.services.principals import Principal
from agentapp.streams import tokens
from tests import harness
from tests.api.live import Web
from tests.streams.following import Sse, following

pytestmark = pytest.mark.django_db(transaction=True)

Keys = Callable[..., tuple[ApiKey, str]]


@pytest.fixture
def task(principal: Principal) -> Workflow:
    return workflows.submit(principal, kind="probe_fan", input={})


def refused(stream: Sse, status: int) -> dict[str, Any]:
    assert (stream.status, stream.headers["Content-Type"]) == (status, "application/problem+json")
    return stream.problem()


def test_a_stream_needs_a_key_with_the_scope_to_read(web: Web, make_key: Keys, task: Workflow) -> None:
    with following(web.port, f"/tasks/{task.pk}/stream") as stream:
        refused(stream, 401)
    with following(web.port, f"/tasks/{task.pk}/stream", token=make_key()[1][:-1] + "~") as stream:
        refused(stream, 401)
    with following(web.port, f"/tasks/{task.pk}/stream", token=make_key(task.tenant, "tasks:write")[1]) as stream:
        refused(stream, 403)


def test_a_task_of_another_tenant_is_not_found(web: Web, make_key: Keys, other_tenant: Tenant, task: Workflow) -> None:
    foreign = make_key(other_tenant)[1]
    for path in (f"/tasks/{task.pk}/stream", "/tasks/nothing/stream", f"/tasks/{principals.__name__}/stream"):
        with following(web.port, path, token=foreign) as stream:
            refused(stream, 404)
    assert web.ask("POST", "/stream-tokens", {"task": str(task.pk)}, Authorization=f"Bearer {foreign}")[0] == 404


@pytest.mark.parametrize("place", ["-1", "x", "1.5", "99999999999", "2147483648", "%00"])
def test_a_place_that_is_no_number_is_refused(web: Web, token: str, task: Workflow, place: str) -> None:
    with following(web.port, f"/tasks/{task.pk}/stream?last_event_id={place}", token=token) as stream:
        refused(stream, 400)


def test_only_events_can_be_asked_for(web: Web, token: str, task: Workflow) -> None:
    path = f"/tasks/{task.pk}/stream"
    with following(web.port, path, token=token, Accept="application/json") as stream:
        assert "text/event-stream" in refused(stream, 406)["detail"]
    with following(web.port, path, token=token, Accept="text/event-stream") as stream:
        assert (stream.status, stream.headers["Content-Type"]) == (200, "text/event-stream; charset=utf-8")
        assert "no-store" in stream.headers["Cache-Control"]
        assert not any(name.lower().startswith("x-agentapp") for name in stream.headers)
    with following(web.port, path, token=token, method="HEAD") as stream:
        assert (stream.status, list(stream)) == (200, [])
    with following(web.port, path, token=token, method="POST") as stream:
        assert refused(stream, 405)["detail"]
    with following(web.port, f"/tasks/{task.pk}/ws", token=token) as stream:
        refused(stream, 426)


def new_token(web: Web, key: str, **body: str) -> dict[str, Any]:
    status, _, answer = web.ask("POST", "/stream-tokens", body, Authorization=f"Bearer {key}")
    assert status == 201
    return dict(answer)


def test_a_token_opens_the_stream_of_its_task_and_no_other(
    web: Web, token: str, task: Workflow, principal: Principal
) -> None:
    other = workflows.submit(principal, kind="probe_fan", input={})
    issued = new_token(web, token, task=str(task.pk))

    with following(web.port, issued["url"]) as stream:
        assert (stream.take(1)[0].data["task"], issued["task"]) == (str(task.pk), str(task.pk))
    with following(web.port, f"/tasks/{other.pk}/stream?token={issued['token']}") as stream:
        refused(stream, 404)
    with following(web.port, f"/tasks/{task.pk}?token={issued['token']}") as stream:
        refused(stream, 401)


def test_a_token_of_the_tenant_opens_each_of_its_tasks(
    web: Web, token: str, task: Workflow, other_principal: Principal
) -> None:
    foreign = workflows.submit(other_principal, kind="probe_fan", input={})
    issued = new_token(web, token)

    with following(web.port, f"/tasks/{task.pk}/stream?token={issued['token']}") as stream:
        assert stream.status == 200
    with following(web.port, f"/tasks/{foreign.pk}/stream?token={issued['token']}") as stream:
        refused(stream, 404)


def test_a_token_that_was_changed_or_has_ended_opens_nothing(
    web: Web, token: str, task: Workflow, principal: Principal
) -> None:
    whole = new_token(web, token, task=str(task.pk))["token"]
    with clock.frozen_at(clock.now() - timedelta(seconds=tokens.LIFE_S + 1)):
        old = tokens.issue(principal, task=task.pk)[0]
    claims, _, signature = whole.rpartition(":")
    forged = f"{claims[:-1]}{'A' if claims[-1] != 'A' else 'B'}:{signature}"

    for text in (old, forged, whole[:-1], "", "x", "x" * 5_000):
        with following(web.port, f"/tasks/{task.pk}/stream?token={text}") as stream:
            refused(stream, 401)


def revoke(key: ApiKey) -> None:
    api_keys.revoke(key)


def expire(key: ApiKey) -> None:
    ApiKey.objects.filter(pk=key.pk).update(expires_at=database.now())


def suspend(key: ApiKey) -> None:
    Tenant.objects.filter(pk=key.tenant_id).update(suspended_at=database.now())


def narrow(key: ApiKey) -> None:
    ApiKey.objects.filter(pk=key.pk).update(scopes=["tasks:write"])


@pytest.mark.parametrize("lose", [revoke, expire, suspend, narrow])
def test_a_stream_ends_when_its_key_may_not_read_any_longer(
    web: Web, make_key: Keys, task: Workflow, lose: Callable[[ApiKey], None]
) -> None:
    key, secret = make_key()
    issued = new_token(web, secret)["token"]
    with (
        following(web.port, f"/tasks/{task.pk}/stream", token=secret) as with_key,
        following(web.port, f"/tasks/{task.pk}/stream?token={issued}") as with_token,
        following(web.port, f"/tasks/{task.pk}/stream", token=make_key(task.tenant)[1]) as other,
    ):
        other.take(1)
        lose(key)
        for stream in (with_key, with_token):
            assert list(stream)[-1].data == {"reason": "access"}
        if lose is not suspend:
            harness.drain(task)
            assert [event.type for event in other][-2:] == ["done", "end"]
    with following(web.port, f"/tasks/{task.pk}/stream?token={issued}") as stream:
        assert stream.status in (401, 403)


def test_a_person_reads_with_a_token_as_long_as_they_may(web: Web, task: Workflow) -> None:
    person = User.objects.create(username="ada", is_staff=True)
    membership = Membership.objects.create(user=person, tenant=task.tenant)
    opened = tokens.issue(principals.of_user(person), task=None)[0]
    with following(web.port, f"/tasks/{task.pk}/stream?token={opened}") as stream:
        stream.take(1)
        membership.delete()
        assert list(stream)[-1].data == {"reason": "access"}
    with following(web.port, f"/tasks/{task.pk}/stream?token={opened}") as stream:
        refused(stream, 404)
    User.objects.filter(pk=person.pk).update(is_active=False)
    with following(web.port, f"/tasks/{task.pk}/stream?token={opened}") as stream:
        refused(stream, 403)
