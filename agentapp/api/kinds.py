"""/kinds: what can be submitted, and which input each kind takes."""

from __future__ import annotations

from typing import Annotated, Any

import pydantic
from rest_framework.request import Request
from rest_framework.response import Response

from agentapp import flows
from agentapp.api.answers import kinds as answers
from agentapp.api.contract.operation import Operation, one, page
from agentapp.api.endpoint import Endpoint
from agentapp.flows import Flow
from agentapp.services import kinds


class Kinds(Endpoint):
    """GET /kinds, by name."""

    contract = {"GET": Operation("list_kinds", "List what can be submitted", answers={200: page(answers.Kind)})}

    def get(self, request: Request) -> Response:
        return Response({"results": [shape(flow) for flow in kinds.listing()], "next": None})


class OneKind(Endpoint):
    """GET /kinds/{kind}, with the schema of its input and its stages."""

    contract = {
        "GET": Operation("get_kind", "Read a kind with the schema of its input", answers={200: one(answers.WholeKind)})
    }
    path_parameters = {"kind": Annotated[str, pydantic.Field(description="The name of the kind.")]}

    def get(self, request: Request, kind: str) -> Response:
        flow = kinds.get(kind)
        stages = [_stage(stage, row) for stage, row in zip(flow.stages, flows.plan(flow), strict=True)]
        return Response(shape(flow) | {"input_schema": flows.input_schema(flow), "stages": stages})


def _stage(stage: flows.Stage, row: dict[str, Any]) -> answers.KindStage:
    repeat = stage.repeat
    return {
        "name": stage.name,
        "kind": row["kind"],
        "job_type": row["job_type"] or None,
        "when": {"path": stage.when.path, "equals": stage.when.equals} if stage.when else None,
        "repeat": {
            "back_to": repeat.back_to,
            "when": {"path": repeat.when.path, "equals": repeat.when.equals},
            "at_most": repeat.at_most,
        }
        if repeat
        else None,
    }


def shape(flow: Flow) -> answers.Kind:
    """Return a kind as lists show it."""
    return {
        "kind": flow.kind,
        "version": flow.version,
        "title": flow.title or None,
        "description": flow.description or None,
    }
