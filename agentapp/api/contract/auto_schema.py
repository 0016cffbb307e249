"""One operation of the OpenAPI document, made of an endpoint's declaration."""

from __future__ import annotations

import inspect
import re
from typing import Any, cast

from drf_spectacular.openapi import AutoSchema

from agentapp.api.contract import components, headers, parameters, refusals
from agentapp.api.contract.operation import JSON, Answer, Operation
from agentapp.api.endpoint import Endpoint

Schema = dict[str, Any]
BEARER = "Bearer"


class UndeclaredMethod(Exception):
    """An endpoint answers to a method about which its `contract` says nothing."""


class ContractSchema(AutoSchema):
    """drf-spectacular's description of one method of one address, from what we declare instead of serializers."""

    @property
    def endpoint(self) -> Endpoint:
        return cast("Endpoint", self.view)

    @property
    def declared(self) -> Operation:
        """Raises UndeclaredMethod."""
        found = self.endpoint.contract.get(self.method)
        if found is None:
            raise UndeclaredMethod(f"{type(self.endpoint).__name__}.contract has no operation for {self.method}.")
        return found

    @property
    def scope(self) -> str:
        """The scope that the endpoint enforces; empty where a key, or nothing, is enough."""
        return self.endpoint.scopes.get(self.method, "")

    @property
    def all_scopes(self) -> list[str]:
        """Every scope that a key must hold."""
        return [self.scope, *self.declared.also] if self.scope else []

    @property
    def asks_for_key(self) -> bool:
        return bool(self.endpoint.authentication_classes)

    def get_operation_id(self) -> str:
        return self.declared.id

    def get_summary(self) -> str:
        return self.declared.summary

    def get_description(self) -> str:  # type: ignore[override]
        handler = getattr(self.endpoint, self.method.lower())
        words = self.declared.description or inspect.cleandoc(handler.__doc__ or "")
        scopes = " and ".join(f"`{scope}`" for scope in self.all_scopes)
        needs = f"Needs a key with the {'scopes' if self.declared.also else 'scope'} {scopes}." if scopes else ""
        return "\n\n".join(part for part in (words, needs) if part)

    def get_tags(self) -> list[str]:
        return [parameters.tag_of(self.path)]

    def get_extensions(self) -> Schema:
        return {"x-required-scope": self.scope} if self.scope else {}

    def get_auth(self) -> list[dict[str, list[str]]]:
        if not self.asks_for_key:
            return [{}]
        # What OpenAPI calls roles: a scheme that is not OAuth may list them since 3.1.
        return [{BEARER: self.all_scopes}]

    def _get_parameters(self) -> list[Schema]:
        declared = self.declared
        return [
            *(parameters.of_path(name, self.endpoint.path_parameters) for name in re.findall(r"{(\w+)}", self.path)),
            *(parameters.of_query(declared.query, self.registry) if declared.query else ()),
            *(parameters.of_header(name, words) for name, words in declared.headers.items()),
        ]

    def _get_request_body(self, direction: Any = "request") -> Schema | None:
        declared = self.declared
        if declared.body is None:
            return None
        schema = components.schema_of(declared.body, self.registry, mode="validation")
        needed = any(field.is_required() for field in declared.body.model_fields.values())
        files = {media_type: {"schema": file} if file else {} for media_type, file in declared.files.items()}
        return {"required": needed, "content": {JSON: {"schema": schema}, **files}}

    def _get_response_bodies(self, direction: Any = "response") -> Schema:
        declared = self.declared
        found = {str(status): self._answer(answer) for status, answer in declared.answers.items()}
        slugs = refusals.slugs_of(declared, self.path, asks_for_key=self.asks_for_key)
        for status, kinds in sorted(refusals.by_status(slugs).items()):
            found[str(status)] = refusals.response(kinds, self.registry)
        return found

    def _answer(self, answer: Answer) -> Schema:
        content = {media_type: self._media(media_type, kind) for media_type, kind in answer.content.items()}
        shown = headers.of_answer(answer)
        return {
            "description": answer.description or self.declared.summary + ".",
            **({"headers": shown} if shown else {}),
            **({"content": content} if content else {}),
        }

    def _media(self, media_type: str, kind: Any) -> Schema:
        if kind is None:
            return {}
        schema = components.schema_of(kind, self.registry)
        if media_type == JSON:
            return {"schema": schema}
        # The data of each event; OpenAPI has no schema for a stream before 3.2.
        return {"schema": {"type": "string"}, "x-event-data": schema}
