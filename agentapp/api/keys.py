"""/keys/self: the key that asks, and a new secret for it."""

from __future__ import annotations

from typing import cast

from rest_framework.request import Request
from rest_framework.response import Response

from agentapp.api import body, schemas, shapes
from agentapp.api.answers import keys as answers
from agentapp.api.contract.operation import Operation, one
from agentapp.api.endpoint import Endpoint
from agentapp.models import ApiKey
from agentapp.services import api_keys


class OwnKey(Endpoint):
    """GET /keys/self; the secret is never shown."""

    contract = {"GET": Operation("get_own_key", "Read about the key that asks", answers={200: one(answers.Key)})}

    def get(self, request: Request) -> Response:
        return Response(shape(own_key(self)))


class RotateOwnKey(Endpoint):
    """POST /keys/self/rotate: a new secret, shown once; the old one opens for a while."""

    contract = {
        "POST": Operation(
            "rotate_own_key",
            "Make a new secret for the key that asks; the old one opens for a while",
            body=schemas.Rotate,
            answers={201: one(answers.RotatedKey, "The new secret is shown this once.")},
            problems=("conflict",),
        )
    }

    def post(self, request: Request) -> Response:
        wanted = body.read(request, schemas.Rotate)
        key, token, old = api_keys.rotate(own_key(self), overlap_s=wanted.overlap_s, by=self.principal.actor)
        replaced = {"prefix": old.prefix, "expires_at": shapes.time(old.expires_at)}
        return Response({**shape(key), "key": token, "replaced": replaced}, status=201)


def own_key(endpoint: Endpoint) -> ApiKey:
    # Nothing else opens the API.
    return cast("ApiKey", endpoint.principal.api_key)


def shape(row: ApiKey) -> answers.Key:
    """Return what a key is, without its secret."""
    return {
        "name": row.name,
        "prefix": row.prefix,
        "tenant": row.tenant.slug,
        "scopes": row.scopes,
        "sees_payloads": row.sees_payloads,
        "created_at": shapes.time(row.created_at),
        "expires_at": shapes.time(row.expires_at),
        "last_used_at": shapes.time(row.last_used_at),
        "replaced_by": row.replaced_by.prefix if row.replaced_by else None,
    }
