"""Webhook endpoints and deliveries as JSON objects."""

from __future__ import annotations

from datetime import datetime
from typing import Any, cast

from agentapp.api.answers import webhooks as answers
from agentapp.api.shapes import time
from agentapp.models import WebhookDelivery, WebhookEndpoint
from agentapp.policies import webhooks
from agentapp.services import delivery_states


def endpoint(row: WebhookEndpoint) -> answers.WebhookEndpoint:
    """Return an endpoint without its secret."""
    return {
        "id": str(row.pk),
        "url": row.url,
        "description": row.description,
        "events": row.events,
        "format": row.format,
        "is_enabled": row.is_enabled,
        "disabled_at": time(row.disabled_at),
        "disabled_reason": row.disabled_reason or None,
        "failing_since": time(row.failing_since),
        "previous_secret_until": time(row.previous_until),
        "created_at": time(row.created_at),
        "updated_at": time(row.updated_at),
    }


def with_secret(row: WebhookEndpoint, secret: str) -> answers.WebhookEndpointWithSecret:
    """Return an endpoint with its secret, this once."""
    return {**endpoint(row), "secret": secret}


def deliveries(rows: list[WebhookDelivery]) -> list[answers.WebhookDelivery]:
    progress = delivery_states.progress(rows)
    return [_delivery(row, progress[row.pk]) for row in rows]


def delivery(row: WebhookDelivery) -> answers.WebhookDelivery:
    return deliveries([row])[0]


def _delivery(row: WebhookDelivery, progress: delivery_states.Progress) -> answers.WebhookDelivery:
    return {
        "id": str(row.pk),
        "webhook_id": webhooks.message_id(row.event_id),
        "event": row.event.type,
        "task": None if row.event.type == webhooks.TEST_EVENT else str(row.event.workflow_id),
        "endpoint": str(row.endpoint_id) if row.endpoint_id else None,
        "url": row.url,
        "state": progress.state.value,
        "reason": progress.reason or None,
        "next_attempt_at": time(progress.next_attempt_at),
        "attempts": [_attempt(each) for each in row.log],
        "payload": row.payload,
        "created_at": time(row.created_at),
    }


def _attempt(entry: dict[str, Any]) -> answers.DeliveryAttempt:
    return cast("answers.DeliveryAttempt", entry | {"at": time(datetime.fromisoformat(entry["at"]))})
