"""The secrets that sign webhooks. They are derived when they are needed, and stored nowhere."""

from __future__ import annotations

from datetime import datetime

from django.conf import settings

from agentapp.models import WebhookEndpoint
from agentapp.policies import webhooks

ENDPOINT, CALLBACK = "endpoint", "callback"


def of_endpoint(endpoint: WebhookEndpoint, *, now: datetime) -> list[bytes]:
    """Return the secrets that sign for an endpoint at a moment, the newest first: during the overlap after a rotation
    the one before it too, and each as every key makes it that the service still knows."""
    generations = [endpoint.generation]
    if endpoint.previous_until is not None and now < endpoint.previous_until:
        generations.append(endpoint.generation - 1)
    return [
        webhooks.secret(key, purpose=ENDPOINT, salt=bytes(endpoint.salt), generation=generation)
        for generation in generations
        for key in _keys()
    ]


def of_callbacks(tenant_id: int) -> list[bytes]:
    """Return the secrets that sign what is sent to the `callback_url` of a tenant's tasks."""
    salt = f"tenant {tenant_id}".encode()
    return [webhooks.secret(key, purpose=CALLBACK, salt=salt, generation=1) for key in _keys()]


def shown_of_endpoint(endpoint: WebhookEndpoint) -> str:
    """Return the newest secret of an endpoint as its owner gets it."""
    salt = bytes(endpoint.salt)
    secret = webhooks.secret(settings.SECRET_KEY, purpose=ENDPOINT, salt=salt, generation=endpoint.generation)
    return webhooks.shown(secret)


def shown_of_callbacks(tenant_id: int) -> str:
    return webhooks.shown(of_callbacks(tenant_id)[0])


def _keys() -> list[str]:
    return [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
