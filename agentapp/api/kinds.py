"""/kinds: what can be submitted, and which input each kind takes."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from agentapp import flows
from agentapp.api import shapes
from agentapp.api.endpoint import Endpoint
from agentapp.flows import Flow
from agentapp.services import kinds


class Kinds(Endpoint):
    """GET /kinds, by name."""

    def get(self, request: Request) -> Response:
        return Response({"results": [shape(flow) for flow in kinds.listing()], "next": None})


class OneKind(Endpoint):
    """GET /kinds/{kind}, with the schema of its input and its stages."""

    def get(self, request: Request, kind: str) -> Response:
        flow = kinds.get(kind)
        stages = [{key: stage[key] or None for key in ("name", "kind", "job_type")} for stage in flows.plan(flow)]
        return Response(shape(flow) | {"input_schema": flows.input_schema(flow), "stages": stages})


def shape(flow: Flow) -> shapes.Shape:
    """Return a kind as lists show it."""
    return {
        "kind": flow.kind,
        "version": flow.version,
        "title": flow.title or None,
        "description": flow.description or None,
    }
