"""Endpoints that a tenant wants to be told at, and their secrets."""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from agentapp.delivery import webhook_secrets
from agentapp.delivery.guarded_http import Guard, NoAnswer
from agentapp.delivery.webhooks import guard
from agentapp.errors import IllegalMove, InvalidInput, NotFound
from agentapp.lifecycle import database
from agentapp.lifecycle import webhook_endpoints as moves
from agentapp.models import WebhookEndpoint
from agentapp.policies import storable, webhook_formats, webhooks
from agentapp.policies.addresses import TargetNotAllowed
from agentapp.services import unchanged
from agentapp.services.principals import Principal

READ, WRITE = "webhooks:read", "webhooks:write"
MOST_ENDPOINTS = 20
MOST_DESCRIPTION_CHARACTERS = 200
SALT_BYTES = 16


def check_url(url: str, *, field: str = "callback_url", by: Guard | None = None) -> None:
    """See that a URL may be sent to. Its name is looked up, now and again at each delivery.

    Raises:
        InvalidInput: it may not, or its name cannot be looked up.
    """
    try:
        (by or guard()).check(url)
    except (TargetNotAllowed, NoAnswer) as error:
        raise InvalidInput.at(field, str(error)) from error


def listing(principal: Principal) -> QuerySet[WebhookEndpoint]:
    """The endpoints that the principal may see, newest first."""
    principal.require(READ)
    return principal.visible(WebhookEndpoint.objects.all()).select_related("tenant").order_by("-id")


def get(principal: Principal, endpoint_id: UUID) -> WebhookEndpoint:
    """Raises NotFound."""
    return _found(listing(principal), endpoint_id)


def create(
    principal: Principal,
    *,
    url: str,
    events: list[str] | None = None,
    description: str = "",
    format: str = webhook_formats.AGENTAPP,
    tenant_id: int | None = None,
    by: Guard | None = None,
) -> tuple[WebhookEndpoint, str]:
    """Make an endpoint and return it with its secret, which is not shown again.

    Raises:
        InvalidInput: the URL may not be sent to, an event is unknown, or there are too many endpoints.
    """
    principal.require(WRITE)
    tenant = principal.chosen_tenant(tenant_id, needs=WRITE)
    values = _checked({"url": url, "events": events or [], "description": description, "format": format}, by)
    if WebhookEndpoint.objects.filter(tenant=tenant).count() >= MOST_ENDPOINTS:
        raise InvalidInput.at("url", f"A tenant may have {MOST_ENDPOINTS} endpoints. Delete one first.")
    endpoint = WebhookEndpoint.objects.create(tenant_id=tenant, salt=secrets.token_bytes(SALT_BYTES), **values)
    return endpoint, webhook_secrets.shown_of_endpoint(endpoint)


def change(
    principal: Principal, endpoint_id: UUID, values: dict[str, Any], *, as_read: datetime | None = None,
    by: Guard | None = None,
) -> WebhookEndpoint:  # fmt: skip
    """Change what `values` names: url, events, description, format, is_enabled. `as_read`: only one that was last
    changed at that moment.

    Raises like `create`, NotFound, and IllegalMove where somebody has changed it since.
    """
    writable(principal, endpoint_id)
    is_enabled = values.get("is_enabled")
    # Names are looked up before a row is locked.
    fields = _checked({name: value for name, value in values.items() if name != "is_enabled"}, by)
    with database.atomic():
        endpoint = _locked(endpoint_id, as_read)
        if fields.get("url", endpoint.url) != endpoint.url:
            # Nothing has been sent to it yet.
            fields["failing_since"] = None
        if fields:
            rows = WebhookEndpoint.objects.filter(pk=endpoint.pk)
            rows.update(**fields, updated_at=database.moment())
        if is_enabled is True:
            moves.enable(endpoint.pk)
        elif is_enabled is False:
            moves.disable(endpoint.pk, reason=f"Disabled by {principal.named}.")
        endpoint.refresh_from_db()
    return endpoint


def delete(principal: Principal, endpoint_id: UUID, *, as_read: datetime | None = None) -> None:
    """Forget an endpoint and the log of its deliveries; those under way end without being sent. Raises NotFound, and
    IllegalMove as `change`."""
    writable(principal, endpoint_id)
    with database.atomic():
        _locked(endpoint_id, as_read).delete()


def rotate(principal: Principal, endpoint_id: UUID) -> tuple[WebhookEndpoint, str]:
    """Make a new secret and return it; for a day the one before it signs too. Raises NotFound."""
    endpoint = writable(principal, endpoint_id)
    moves.rotate(endpoint)
    return endpoint, webhook_secrets.shown_of_endpoint(endpoint)


def callback_secret(principal: Principal, *, tenant_id: int | None = None) -> str:
    """Return the secret that signs what is sent to the `callback_url` of the tenant's tasks."""
    principal.require(WRITE)
    return webhook_secrets.shown_of_callbacks(principal.chosen_tenant(tenant_id, needs=WRITE))


def enabled(endpoint: WebhookEndpoint) -> WebhookEndpoint:
    """Return an endpoint that may be sent to. Raises IllegalMove."""
    if not endpoint.is_enabled:
        raise IllegalMove(f"This endpoint is disabled. {endpoint.disabled_reason} Enable it first.")
    return endpoint


def writable(principal: Principal, endpoint_id: UUID) -> WebhookEndpoint:
    """Return an endpoint that the principal may change. Raises NotFound."""
    principal.require(WRITE)
    rows = principal.visible(WebhookEndpoint.objects.all()).select_related("tenant")
    endpoint = _found(rows, endpoint_id)
    principal.require(WRITE, endpoint.tenant_id)
    return endpoint


def _locked(endpoint_id: UUID, as_read: datetime | None) -> WebhookEndpoint:
    rows = WebhookEndpoint.objects.select_for_update(of=("self",)).select_related("tenant")
    return unchanged.check(rows.filter(pk=endpoint_id).first(), f"webhook endpoint {endpoint_id}", as_read=as_read)


def _found(rows: QuerySet[WebhookEndpoint], endpoint_id: UUID) -> WebhookEndpoint:
    found = rows.filter(pk=endpoint_id).first()
    if found is None:
        raise NotFound(f"This tenant has no webhook endpoint {endpoint_id}.")
    return found


def _checked(values: dict[str, Any], by: Guard | None) -> dict[str, Any]:
    """Return these values as they are kept. Raises InvalidInput."""
    if "url" in values:
        check_url(values["url"], field="url", by=by)
    if "events" in values:
        if unknown := sorted(set(values["events"]) - set(webhooks.EVENTS)):
            known = ", ".join(webhooks.EVENTS)
            raise InvalidInput.at("events", f"There is no event {', '.join(unknown)}. Choose from {known}.")
        values |= {"events": sorted(set(values["events"]))}
    if values.get("format", webhook_formats.AGENTAPP) not in webhook_formats.FORMATS:
        raise InvalidInput.at("format", f"Choose one of {', '.join(webhook_formats.FORMATS)}.")
    text = values.get("description", "")
    if len(text) > MOST_DESCRIPTION_CHARACTERS or not storable.is_storable(text):
        sentence = f"A description is a text of at most {MOST_DESCRIPTION_CHARACTERS} characters."
        raise InvalidInput.at("description", sentence)
    return values
