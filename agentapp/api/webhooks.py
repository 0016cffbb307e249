"""/webhook-endpoints: who is told when something happens to a task; /webhook-deliveries: what was sent to them."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from agentapp.api import body, conditional, links, pages, query, schemas, shapes, webhook_shapes
from agentapp.api.answers import webhooks as answers
from agentapp.api.contract.headers import AS_READ, LOCATION, changed, tagged
from agentapp.api.contract.operation import Operation, nothing, one, page
from agentapp.api.endpoint import Endpoint, identifier
from agentapp.models import WebhookDelivery, WebhookEndpoint
from agentapp.services import delivery_states, webhook_deliveries, webhooks

NOUN = "webhook endpoint"


class WebhookEndpoints(Endpoint):
    """GET /webhook-endpoints, POST /webhook-endpoints: the answer to POST has the secret, this once."""

    scopes = {"GET": webhooks.READ, "POST": webhooks.WRITE}
    contract = {
        "GET": Operation(
            "list_webhook_endpoints",
            "List the addresses that are told of tasks, newest first",
            query=query.Page,
            answers={200: page(answers.WebhookEndpoint)},
        ),
        "POST": Operation(
            "make_webhook_endpoint",
            "Make a webhook endpoint",
            body=schemas.NewWebhookEndpoint,
            answers={201: one(answers.WebhookEndpointWithSecret, "The secret is shown this once.", LOCATION)},
        ),
    }

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
    contract = {
        "GET": Operation("get_webhook_endpoint", "Read a webhook endpoint", **tagged(answers.WebhookEndpoint)),
        "PATCH": Operation(
            "change_webhook_endpoint",
            "Change a webhook endpoint",
            body=schemas.ChangeWebhookEndpoint,
            **changed(answers.WebhookEndpoint),
        ),
        "DELETE": Operation(
            "delete_webhook_endpoint",
            "Delete a webhook endpoint with its deliveries",
            answers={204: nothing("It is deleted.")},
            **AS_READ,
        ),
    }

    def get(self, request: Request, endpoint_id: str) -> Response:
        found = webhooks.get(self.principal, identifier(endpoint_id, noun=NOUN))
        return conditional.read(request, webhook_shapes.endpoint(found))

    def patch(self, request: Request, endpoint_id: str) -> Response:
        """Fields that are not sent stay as they are."""
        endpoint = self._endpoint(endpoint_id)
        wanted = body.read(request, schemas.ChangeWebhookEndpoint)
        with conditional.as_read(request, webhook_shapes.endpoint(endpoint), endpoint.updated_at) as as_read:
            saved = webhooks.change(self.principal, endpoint.pk, wanted.values(), as_read=as_read)
        return conditional.tagged(webhook_shapes.endpoint(saved))

    def delete(self, request: Request, endpoint_id: str) -> Response:
        endpoint = self._endpoint(endpoint_id)
        with conditional.as_read(request, webhook_shapes.endpoint(endpoint), endpoint.updated_at) as as_read:
            webhooks.delete(self.principal, endpoint.pk, as_read=as_read)
        return Response(status=204)

    def _endpoint(self, endpoint_id: str) -> WebhookEndpoint:
        return webhooks.writable(self.principal, identifier(endpoint_id, noun=NOUN))


class RotateWebhookSecret(Endpoint):
    """POST /webhook-endpoints/{id}/rotate: the answer has the new secret, this once."""

    scopes = {"POST": webhooks.WRITE}
    contract = {
        "POST": Operation(
            "rotate_webhook_secret",
            "Make a new secret; for a day the one before it signs too",
            body=schemas.Nothing,
            answers={200: one(answers.WebhookEndpointWithSecret, "The new secret is shown this once.")},
        )
    }

    def post(self, request: Request, endpoint_id: str) -> Response:
        endpoint = identifier(endpoint_id, noun=NOUN)
        body.read(request, schemas.Nothing)
        return Response(webhook_shapes.with_secret(*webhooks.rotate(self.principal, endpoint)))


class TestWebhookEndpoint(Endpoint):
    """POST /webhook-endpoints/{id}/test: an event that nothing has caused."""

    scopes = {"POST": webhooks.WRITE}
    contract = {
        "POST": Operation(
            "test_webhook_endpoint",
            "Send a test event to a webhook endpoint",
            body=schemas.Nothing,
            answers={202: one(answers.WebhookDelivery, "The delivery.", LOCATION)},
            problems=("conflict",),
        )
    }

    def post(self, request: Request, endpoint_id: str) -> Response:
        endpoint = identifier(endpoint_id, noun=NOUN)
        body.read(request, schemas.Nothing)
        return _sent(webhook_deliveries.test(self.principal, endpoint))


class CallbackSecret(Endpoint):
    """POST /webhook-endpoints/callback-secret: what signs the requests to the callback_url of tasks."""

    scopes = {"POST": webhooks.WRITE}
    contract = {
        "POST": Operation(
            "get_callback_secret",
            "Read the secret that signs requests to a `callback_url`",
            body=schemas.Nothing,
            answers={200: one(answers.CallbackSecret)},
        )
    }

    def post(self, request: Request) -> Response:
        body.read(request, schemas.Nothing)
        return Response({"secret": webhooks.callback_secret(self.principal)})


class DeliveriesOfEndpoint(Endpoint):
    """GET /webhook-endpoints/{id}/deliveries, newest first."""

    scopes = {"GET": webhooks.READ}
    contract = {
        "GET": Operation(
            "list_webhook_endpoint_deliveries",
            "List what was sent to a webhook endpoint, newest first",
            query=query.DeliveriesOfEndpoint,
            answers={200: page(answers.WebhookDelivery)},
        )
    }

    def get(self, request: Request, endpoint_id: str) -> Response:
        wanted = query.read(request, query.DeliveriesOfEndpoint)
        endpoint = identifier(endpoint_id, noun=NOUN)
        rows = webhook_deliveries.of_endpoint(self.principal, endpoint)
        rows = delivery_states.matching(rows, wanted.state)
        return pages.page(request, rows, wanted, shapes=webhook_shapes.deliveries)


class WebhookDeliveries(Endpoint):
    """GET /webhook-deliveries, newest first: also those to the callback_url of a task."""

    scopes = {"GET": webhooks.READ}
    contract = {
        "GET": Operation(
            "list_webhook_deliveries",
            "List what was sent to all, newest first",
            query=query.WebhookDeliveries,
            answers={200: page(answers.WebhookDelivery)},
        )
    }

    def get(self, request: Request) -> Response:
        wanted = query.read(request, query.WebhookDeliveries)
        rows = webhook_deliveries.listing(self.principal)
        if wanted.task:
            rows = rows.filter(event__workflow_id=wanted.task)
        rows = delivery_states.matching(rows, wanted.state)
        return pages.page(request, rows, wanted, shapes=webhook_shapes.deliveries)


class OneWebhookDelivery(Endpoint):
    """GET /webhook-deliveries/{id}."""

    scopes = {"GET": webhooks.READ}
    contract = {
        "GET": Operation("get_webhook_delivery", "Read a delivery", answers={200: one(answers.WebhookDelivery)})
    }

    def get(self, request: Request, delivery_id: str) -> Response:
        found = webhook_deliveries.get(self.principal, identifier(delivery_id, noun="webhook delivery"))
        return Response(webhook_shapes.delivery(found))


class ResendWebhook(Endpoint):
    """POST /webhook-deliveries/{id}/resend: the same event again, as a delivery of its own."""

    scopes = {"POST": webhooks.WRITE}
    contract = {
        "POST": Operation(
            "resend_webhook_delivery",
            "Send the event of a delivery once more",
            body=schemas.Nothing,
            answers={202: one(answers.WebhookDelivery, "The new delivery.", LOCATION)},
            also=(webhooks.READ,),
            problems=("conflict",),
        )
    }

    def post(self, request: Request, delivery_id: str) -> Response:
        delivery = identifier(delivery_id, noun="webhook delivery")
        body.read(request, schemas.Nothing)
        return _sent(webhook_deliveries.resend(self.principal, delivery))


def _sent(delivery: WebhookDelivery) -> Response:
    headers = {"Location": links.to(f"/webhook-deliveries/{delivery.pk}")}
    return Response(webhook_shapes.delivery(delivery), status=202, headers=headers)
