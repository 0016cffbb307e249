"""Signatures, secrets, verdicts and ids of webhooks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from agentapp.ids import uuid7
from agentapp.policies import webhooks
from agentapp.policies.webhooks import Verdict

SALT = b"s" * 16
PAYLOAD: dict[str, Any] = {"type": "task.completed", "data": {"text": "Grüße ✓", "n": 1.5, "none": None}}


def a_secret(*, purpose: str = "endpoint", salt: bytes = SALT, generation: int = 1) -> bytes:
    return webhooks.secret("the service's key", purpose=purpose, salt=salt, generation=generation)


def signed(*secrets: bytes, event: UUID | None = None, at: datetime | None = None) -> tuple[bytes, dict[str, str]]:
    body = webhooks.body(PAYLOAD)
    moment = at or datetime.now(UTC)
    return body, webhooks.headers(secrets, event_id=event or uuid7(), at=moment, body=body)


def test_a_receiver_with_the_reference_library_verifies_a_delivery() -> None:
    body, headers = signed(a_secret())

    assert Webhook(webhooks.shown(a_secret())).verify(body, headers) == PAYLOAD


@pytest.mark.parametrize("generation", [1, 2])
def test_with_two_signatures_either_secret_verifies(generation: int) -> None:
    body, headers = signed(a_secret(generation=2), a_secret(generation=1))

    assert Webhook(webhooks.shown(a_secret(generation=generation))).verify(body, headers) == PAYLOAD


@pytest.mark.parametrize("changed", ["body", "webhook-id", "webhook-timestamp", "secret"])
def test_what_was_changed_on_the_way_is_refused(changed: str) -> None:
    body, headers = signed(a_secret())
    if changed in headers:
        headers[changed] = headers[changed][:-1] + ("1" if headers[changed][-1] == "0" else "0")
    body = body + b" " if changed == "body" else body
    secret = a_secret(generation=9) if changed == "secret" else a_secret()

    with pytest.raises(WebhookVerificationError):
        Webhook(webhooks.shown(secret)).verify(body, headers)


def test_a_delivery_that_is_sent_again_much_later_by_somebody_else_is_refused() -> None:
    body, headers = signed(a_secret(), at=datetime.now(UTC) - timedelta(minutes=6))

    with pytest.raises(WebhookVerificationError, match="too old"):
        Webhook(webhooks.shown(a_secret())).verify(body, headers)


def test_secrets_differ_by_all_that_they_are_made_of() -> None:
    made = {
        a_secret(), a_secret(generation=2), a_secret(salt=b"t" * 16), a_secret(purpose="callback"),
        webhooks.secret("another key", purpose="endpoint", salt=SALT, generation=1),
    }  # fmt: skip

    assert len(made) == 5
    assert {len(secret) for secret in made} == {32}


def test_a_secret_is_pinned() -> None:
    """Receivers hold it: another way to derive it would make every one of them refuse every delivery."""
    assert webhooks.shown(a_secret()) == "whsec_J43ww2EcliYTKPD71NSQQloR+zCtqpwWgcgU+04UblU="


@pytest.mark.parametrize(
    ("status", "verdict"),
    [(200, Verdict.DELIVERED), (204, Verdict.DELIVERED), (299, Verdict.DELIVERED), (410, Verdict.GONE)]
    + [(status, Verdict.RETRY) for status in (101, 301, 302, 304, 400, 401, 404, 409, 429, 500, 503, 600)],
)  # fmt: skip
def test_only_success_and_gone_end_a_delivery(status: int, verdict: Verdict) -> None:
    assert webhooks.judge(status) is verdict


def test_an_empty_filter_takes_all() -> None:
    assert webhooks.wants([], "task.failed")
    assert webhooks.wants(["task.failed"], "task.failed")
    assert not webhooks.wants(["task.failed"], "task.completed")


def test_the_schedule_of_retries() -> None:
    waits = [webhooks.RETRY.wait_before(attempt) for attempt in range(2, webhooks.RETRY.max_attempts + 1)]

    assert waits == [5, 300, 1800, 7200, 18000, 36000, 50400]


def test_the_id_of_a_delivery_is_that_of_its_event_and_target_and_sorts_like_its_event() -> None:
    first, second = uuid7(), UUID(int=uuid7().int + (1 << 90))

    assert webhooks.derived_id(first, "a") == webhooks.derived_id(first, "a")
    assert len({webhooks.derived_id(event, target) for event in (first, second) for target in "ab"}) == 4
    assert webhooks.derived_id(first, "b") < webhooks.derived_id(second, "a")
    assert webhooks.derived_id(first, "a").version == 7


def test_hosts_are_counted_in_a_bounded_number_of_groups() -> None:
    groups = {webhooks.host_group(f"host-{number}.example.org") for number in range(10_000)}

    assert len(groups) == webhooks.HOST_GROUPS
    assert webhooks.host_group("a.example") == webhooks.host_group("a.example")
