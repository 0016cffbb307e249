"""Endpoints of webhooks: enabled <-> disabled, by their owner, by a 410, or after days without success."""

from __future__ import annotations

import logging
from datetime import datetime
from uuid import UUID

from django.db.models import F, QuerySet

from agentapp.lifecycle import database
from agentapp.models import WebhookEndpoint
from agentapp.observability import events
from agentapp.policies import storable, webhooks


def disable(endpoint_id: UUID, *, reason: str, at: datetime | None = None, url: str | None = None) -> bool:
    """Send nothing more to an endpoint; with `url`, only while that is its URL. False: it is disabled already, or was
    deleted."""
    moment = at or database.now()
    changed = (
        _at(endpoint_id, url)
        .filter(is_enabled=True)
        .update(
            is_enabled=False, disabled_at=moment, disabled_reason=storable.text(reason, most=300), updated_at=moment
        )
    )
    if changed:
        events.emit("webhook.endpoint_disabled", level=logging.WARNING, endpoint=endpoint_id, reason=reason)
    return bool(changed)


def enable(endpoint_id: UUID) -> None:
    """Send to an endpoint again what happens from now on."""
    WebhookEndpoint.objects.filter(pk=endpoint_id, is_enabled=False).update(
        is_enabled=True, disabled_at=None, disabled_reason="", failing_since=None, updated_at=database.moment()
    )


def works_again(endpoint_id: UUID, *, url: str) -> None:
    """Something has arrived at its URL."""
    _at(endpoint_id, url).filter(failing_since__isnull=False).update(failing_since=None)


def failed(endpoint_id: UUID, *, words: str, at: datetime, url: str) -> None:
    """Note since when nothing arrives at its URL; after days of it the endpoint is disabled."""
    _at(endpoint_id, url).filter(failing_since=None).update(failing_since=at)
    given_up = _at(endpoint_id, url).filter(is_enabled=True, failing_since__lte=at - webhooks.GIVEN_UP_AFTER).first()
    if given_up is not None:
        since = f"{given_up.failing_since:%Y-%m-%d %H:%M} UTC"
        reason = f"Nothing has arrived since {since}. The last failure: {words}"
        disable(endpoint_id, reason=reason, at=at, url=url)


def _at(endpoint_id: UUID, url: str | None) -> QuerySet[WebhookEndpoint]:
    """The endpoint, unless it has another URL by now: what the one before answers says nothing of that."""
    rows = WebhookEndpoint.objects.filter(pk=endpoint_id)
    return rows if url is None else rows.filter(url=url)


def rotate(endpoint: WebhookEndpoint) -> None:
    """Make the next secret; the present one signs too until the overlap is over."""
    until = database.now() + webhooks.OVERLAP
    WebhookEndpoint.objects.filter(pk=endpoint.pk).update(
        generation=F("generation") + 1, previous_until=until, updated_at=database.moment()
    )
    endpoint.refresh_from_db()
