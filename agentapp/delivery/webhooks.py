"""Send one webhook once, and write down what came of it. Whether it is sent again is for the retry policy to say."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from agentapp import conf
from agentapp.delivery import webhook_secrets
from agentapp.delivery.guarded_http import Answer, Guard, Limits, NoAnswer
from agentapp.delivery.slots import Slots
from agentapp.errors import TransientError
from agentapp.lifecycle import database, webhook_endpoints
from agentapp.llm import rate_headers
from agentapp.models import WebhookDelivery, WebhookEndpoint
from agentapp.observability import tracing
from agentapp.policies import addresses, storable, webhooks
from agentapp.policies.addresses import TargetNotAllowed
from agentapp.policies.webhooks import Verdict

# Of the content only an excerpt is kept, and its status decides: it is not worth a slot for long.
LIMITS = Limits(connect_s=5.0, read_s=10.0, total_s=15.0, content_s=1.0, content_bytes=16 * 1024)
# The job that sends ends by itself long before.
TIMEOUT_S = 60
# What the log of a delivery keeps of an answer.
EXCERPT_CHARACTERS = 500
MOST_ATTEMPTS_KEPT = 50


# Of the 16 threads of a worker: a receiver that does not answer, or a tenant with many of them, leaves some to others.
PER_HOST, PER_TENANT = 4, 12
SLOTS = Slots()


class NotDelivered(TransientError):
    """The receiver did not take it this time."""


@dataclass(frozen=True)
class DeliveryAttempt:
    """What came of one request: an answer, or why there was none."""

    at: datetime
    ms: int
    answer: Answer | None = None
    error: str = ""

    @property
    def verdict(self) -> Verdict:
        return webhooks.judge(self.answer.status) if self.answer else Verdict.RETRY

    @property
    def words(self) -> str:
        return f"It answered {self.answer.status}." if self.answer else self.error

    @property
    def retry_after_s(self) -> float | None:
        return rate_headers.retry_after_s(self.answer.headers, now=self.at) if self.answer else None

    def as_json(self) -> dict[str, Any]:
        """Return it as the log of a delivery keeps it."""
        excerpt = self.answer.content.decode(errors="replace") if self.answer else ""
        return {
            "at": self.at.isoformat(),
            "status": self.answer.status if self.answer else None,
            "error": self.error or None,
            "ms": self.ms,
            "answer": storable.text(excerpt, most=EXCERPT_CHARACTERS),
        }


def guard() -> Guard:
    """Return what this installation's settings allow to be connected to."""
    return Guard(allowed=tuple(conf.webhook_allowed_networks()), allows_http=conf.webhook_allows_http())


def deliver(delivery_id: UUID, *, by: Guard | None = None, limits: Limits = LIMITS) -> dict[str, str]:
    """Send a delivery once and return its outcome: delivered, gone, or skipped with the reason.

    A worker that dies after it has sent sends again: the receiver tells by the webhook-id.

    Raises:
        NotDelivered: anything else came of it; it is logged.
        ReceiverBusy: nothing was sent, because enough is on its way to the same receiver.
    """
    found = WebhookDelivery.objects.select_related("event", "endpoint").filter(pk=delivery_id).first()
    if found is None:
        return _skipped("The delivery was deleted: with its endpoint, or because it was old.")
    if found.endpoint is not None and not found.endpoint.is_enabled:
        return _skipped(f"The endpoint is disabled. {found.endpoint.disabled_reason}".rstrip())
    url = found.endpoint.url if found.endpoint else found.url
    with SLOTS.held(addresses.host_of(url), most=PER_HOST), SLOTS.held(f"tenant {found.tenant_id}", most=PER_TENANT):
        attempt = _send(found, url, by or guard(), limits)
    log = [*found.log, attempt.as_json()][-MOST_ATTEMPTS_KEPT:]
    WebhookDelivery.objects.filter(pk=found.pk).update(log=log, url=url)
    return _outcome(found.endpoint, attempt, url)


def _send(delivery: WebhookDelivery, url: str, by: Guard, limits: Limits) -> DeliveryAttempt:
    # By Postgres's clock: receivers refuse a time that is minutes off.
    at = database.now()
    body = webhooks.body(delivery.payload or {})
    endpoint = delivery.endpoint
    secrets = (
        webhook_secrets.of_endpoint(endpoint, now=at) if endpoint else webhook_secrets.of_callbacks(delivery.tenant_id)
    )
    headers = webhooks.headers(secrets, event_id=delivery.event_id, at=at, body=body)
    database.release()
    began_s = time.monotonic()
    answer, error = None, ""
    try:
        answer = by.post(
            url, headers={**headers, **tracing.headers(), "User-Agent": "agentapp"}, body=body, limits=limits
        )
    except (NoAnswer, TargetNotAllowed) as failure:
        # It may quote what the receiver has sent.
        error = storable.message(failure)
    return DeliveryAttempt(at, ms=round((time.monotonic() - began_s) * 1000), answer=answer, error=error)


def _outcome(endpoint: WebhookEndpoint | None, attempt: DeliveryAttempt, url: str) -> dict[str, str]:
    if attempt.verdict is Verdict.DELIVERED:
        if endpoint is not None:
            # Also where it did not fail when this began: another delivery may have failed meanwhile.
            webhook_endpoints.works_again(endpoint.pk, url=url)
        return {"outcome": Verdict.DELIVERED.value, "reason": ""}
    if attempt.verdict is Verdict.GONE:
        reason = "It answered 410 Gone: it wants nothing more."
        if endpoint is not None and WebhookEndpoint.objects.filter(pk=endpoint.pk).exclude(url=url).exists():
            raise NotDelivered("It answered 410 Gone, but the endpoint has another URL by now.")
        if endpoint is not None:
            webhook_endpoints.disable(endpoint.pk, reason=reason, at=attempt.at, url=url)
        return {"outcome": Verdict.GONE.value, "reason": reason}
    if endpoint is not None:
        webhook_endpoints.failed(endpoint.pk, words=attempt.words, at=attempt.at, url=url)
    raise NotDelivered(attempt.words, retry_after_s=attempt.retry_after_s)


def _skipped(reason: str) -> dict[str, str]:
    return {"outcome": "skipped", "reason": reason}
