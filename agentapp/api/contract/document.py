"""The whole OpenAPI document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from drf_spectacular.generators import SchemaGenerator

from agentapp.api.contract import components, links
from agentapp.api.contract.auto_schema import BEARER, ContractSchema
from agentapp.api.contract.operation import JSON, Webhook
from agentapp.api.endpoint import Endpoint

Schema = dict[str, Any]
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
SECURITY = {
    BEARER: {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "aa_...",
        "description": "An API key. It belongs to one tenant and holds scopes.",
    }
}


class Generator(SchemaGenerator):
    """drf-spectacular's generator over a table of addresses, which it would only guess from regular expressions."""

    def __init__(self, addresses: Mapping[str, type[Endpoint]]) -> None:
        super().__init__()
        self._addresses = addresses

    def _initialise_endpoints(self) -> None:
        found: list[Any] = [
            (f"/{address}", "", method, endpoint.as_view())
            for address, endpoint in self._addresses.items()
            for method in METHODS
            if hasattr(endpoint, method.lower())
        ]
        self.endpoints = found

    def create_view(self, callback: Any, method: str, request: Any = None) -> Any:
        view = super().create_view(callback, method, request)
        self._set_schema_to_view(view, ContractSchema())
        return view


def build(
    addresses: Mapping[str, type[Endpoint]], webhooks: Mapping[str, Webhook] | None = None, *, server: str = "/"
) -> Schema:
    """Return the document of these addresses and webhooks, for a service that is reached at `server`.

    Raises:
        UndeclaredMethod: an endpoint does not declare one of its methods.
    """
    generator = Generator(addresses)
    found = {name: _webhook(webhook, generator) for name, webhook in (webhooks or {}).items()}
    document: Schema = generator.get_schema(public=True)
    document["servers"] = [{"url": server}]
    document["components"]["securitySchemes"] = SECURITY
    document["tags"] = [{"name": tag} for tag in _tags(document)]
    links.add(document)
    if found:
        document["webhooks"] = found
    return document


def _webhook(webhook: Webhook, generator: Generator) -> Schema:
    content = {JSON: {"schema": components.schema_of(webhook.body, generator.registry)}}
    parameters = [
        {"in": "header", "name": name, "required": True, "schema": {"type": "string"}, "description": words}
        for name, words in webhook.headers.items()
    ]
    operation = {
        "operationId": webhook.id,
        "summary": webhook.summary,
        "parameters": parameters,
        "requestBody": {"required": True, "content": content},
        "responses": {"2XX": {"description": "Received. Any other answer is a failed delivery."}},
    }
    return {"post": operation}


def _tags(document: Schema) -> list[str]:
    operations = [operation for methods in document["paths"].values() for operation in methods.values()]
    return list(dict.fromkeys(tag for operation in operations for tag in operation["tags"]))
