"""/webhook-endpoints: who is told when something happens to a task; /webhook-deliveries: what was sent to them."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from agentapp.api import body, links, pages, query, schemas, shapes, webhook_shapes
from agentapp.api.endpoint import Endpoint, identifier
from agentapp.models import WebhookDelivery
from agentapp.services import webhook_deliveries, webhooks

NOUN = "webhook endpoint"


class WebhookEndpoints(Endpoint):
    """GET /webhook-endpoints, POST /webhook-endpoints: the answer to POST has the secret, this once."""

    scopes = {"GET": webhooks.READ, "POST": webhooks.WRITE}
    parameters = {"GET": query.Page}

    def get(self, request: Request) -> Response:
        wanted = query.read(request, query.Page)
        rows = webhooks.listing(self.principal)
        return pages.page(request, rows, wanted, shapes=shapes.each(webhook_shapes.endpoint))

    def post(self, request: Request) -> Response:
        wanted = body.read(request, schemas.NewWebhookEndpoint)
        endpoint, secret = webhooks.create(self.principal, **wanted.model_dump())
        headers = {"Location": links.to(f"/webhook-endpoints/{endpoint.pk}")}
        return Response(webhook_shapes.with_secret(endpoint, secret), status=201, headers=headers)


class OneWebhookEndpoint(Endpoint):
    """GET, PATCH and DELETE /webhook-endpoints/{id}."""

    scopes = {"GET": webhooks.READ, "PATCH": webhooks.WRITE, "DELETE": webhooks.WRITE}

    def get(self, request: Request, endpoint_id: str) -> Response:
        found = webhooks.get(self.principal, identifier(endpoint_id, noun=NOUN))
        return Response(webhook_shapes.endpoint(found))

    def patch(self, request: Request, endpoint_id: str) -> Response:
        """Change what the body names; the rest stays as it is."""
        endpoint = identifier(endpoint_id, noun=NOUN)
        wanted = body.read(request, schemas.ChangeWebhookEndpoint)
        return Response(webhook_shapes.endpoint(webhooks.change(self.principal, endpoint, wanted.values())))

    def delete(self, request: Request, endpoint_id: str) -> Response:
        webhooks.delete(self.principal, identifier(endpoint_id, noun=NOUN))
        return Response(status=204)


class RotateWebhookSecret(Endpoint):
    """POST /webhook-endpoints/{id}/rotate: the answer has the new secret, this once."""

    scopes = {"POST": webhooks.WRITE}

    def post(self, request: Request, endpoint_id: str) -> Response:
        endpoint = identifier(endpoint_id, noun=NOUN)
        body.read(request, schemas.Nothing)
        return Response(webhook_shapes.with_secret(*webhooks.rotate(self.principal, endpoint)))


class TestWebhookEndpoint(Endpoint):
    """POST /webhook-endpoints/{id}/test: an event that nothing has caused."""

    scopes = {"POST": webhooks.WRITE}

    def post(self, request: Request, endpoint_id: str) -> Response:
        endpoint = identifier(endpoint_id, noun=NOUN)
        body.read(request, schemas.Nothing)
        return _sent(webhook_deliveries.test(self.principal, endpoint))


class CallbackSecret(Endpoint):
    """POST /webhook-endpoints/callback-secret: what signs the requests to the callback_url of tasks."""

    scopes = {"POST": webhooks.WRITE}

    def post(self, request: Request) -> Response:
        body.read(request, schemas.Nothing)
        return Response({"secret": webhooks.callback_secret(self.principal)})


class DeliveriesOfEndpoint(Endpoint):
    """GET /webhook-endpoints/{id}/deliveries, newest first."""

    scopes = {"GET": webhooks.READ}
    parameters = {"GET": query.Page}

    def get(self, request: Request, endpoint_id: str) -> Response:
        wanted = query.read(request, query.Page)
        endpoint = identifier(endpoint_id, noun=NOUN)
        rows = webhook_deliveries.of_endpoint(self.principal, endpoint)
        return pages.page(request, rows, wanted, shapes=webhook_shapes.deliveries)


class WebhookDeliveries(Endpoint):
    """GET /webhook-deliveries, newest first: also those to the callback_url of a task."""

    scopes = {"GET": webhooks.READ}
    parameters = {"GET": query.WebhookDeliveries}

    def get(self, request: Request) -> Response:
        wanted = query.read(request, query.WebhookDeliveries)
        rows = webhook_deliveries.listing(self.principal)
        if wanted.task:
            rows = rows.filter(event__workflow_id=wanted.task)
        return pages.page(request, rows, wanted, shapes=webhook_shapes.deliveries)


class OneWebhookDelivery(Endpoint):
    """GET /webhook-deliveries/{id}."""

    scopes = {"GET": webhooks.READ}

    def get(self, request: Request, delivery_id: str) -> Response:
        found = webhook_deliveries.get(self.principal, identifier(delivery_id, noun="webhook delivery"))
        return Response(webhook_shapes.delivery(found))


class ResendWebhook(Endpoint):
    """POST /webhook-deliveries/{id}/resend: the same event again, as a delivery of its own."""

    scopes = {"POST": webhooks.WRITE}

    def post(self, request: Request, delivery_id: str) -> Response:
        delivery = identifier(delivery_id, noun="webhook delivery")
        body.read(request, schemas.Nothing)
        return _sent(webhook_deliveries.resend(self.principal, delivery))


def _sent(delivery: WebhookDelivery) -> Response:
    headers = {"Location": links.to(f"/webhook-deliveries/{delivery.pk}")}
    return Response(webhook_shapes.delivery(delivery), status=202, headers=headers)
