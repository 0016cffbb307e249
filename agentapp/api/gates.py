"""/gates: rules of how much runs at once, and how fast; /gate-changes: who changed what. For who runs the platform."""

from __future__ import annotations

from typing import Annotated, Any

import pydantic
from rest_framework.request import Request
from rest_framework.response import Response

from agentapp.api import body, conditional, gate_bodies, limit_shapes, links, pages, query, shapes
from agentapp.api.answers import limits as answers
from agentapp.api.contract.headers import AS_READ, LOCATION, changed, tagged
from agentapp.api.contract.operation import Operation, nothing, one, page
from agentapp.api.endpoint import Endpoint, number
from agentapp.models import Gate
from agentapp.policies import bounds
from agentapp.services import gates

GateId = Annotated[int, pydantic.Field(ge=1, le=bounds.LARGEST_BIGINT, description="The id of the gate.")]


class Gates(Endpoint):
    """GET /gates, POST /gates."""

    scopes = {"GET": gates.READ, "POST": gates.WRITE}
    contract = {
        "GET": Operation(
            "list_gates", "List the rules on how much runs", query=query.Gates, answers={200: page(answers.Gate)}
        ),
        "POST": Operation(
            "make_gate",
            "Make a gate",
            body=gate_bodies.NewGate,
            answers={201: one(answers.Gate, "The gate.", LOCATION)},
        ),
    }

    def get(self, request: Request) -> Response:
        wanted = query.read(request, query.Gates)
        rows = gates.listing(self.principal)
        if wanted.scope:
            rows = rows.filter(scope=wanted.scope)
        return pages.page(
            request, rows, wanted, shapes=shapes.each(limit_shapes.gate), order=pages.BY_SCOPE_OLDEST_FIRST
        )

    def post(self, request: Request) -> Response:
        wanted = body.read(request, gate_bodies.NewGate)
        gate = gates.save(self.principal, Gate(), wanted.values(), reason=wanted.reason)
        return Response(limit_shapes.gate(gate), status=201, headers={"Location": links.to(f"/gates/{gate.pk}")})


class OneGate(Endpoint):
    """GET, PUT, PATCH and DELETE /gates/{id}."""

    scopes = {"GET": gates.READ, "PUT": gates.WRITE, "PATCH": gates.WRITE, "DELETE": gates.WRITE}
    contract = {
        "GET": Operation("get_gate", "Read a gate", **tagged(answers.Gate)),
        "PUT": Operation("replace_gate", "Replace a gate", body=gate_bodies.NewGate, **changed(answers.Gate)),
        "PATCH": Operation("change_gate", "Change a gate", body=gate_bodies.ChangeGate, **changed(answers.Gate)),
        "DELETE": Operation(
            "delete_gate", "Delete a gate", query=query.Delete, answers={204: nothing("It is deleted.")}, **AS_READ
        ),
    }
    path_parameters = {"gate_id": GateId}

    def get(self, request: Request, gate_id: str) -> Response:
        return conditional.read(request, limit_shapes.gate(self._gate(gate_id)))

    def put(self, request: Request, gate_id: str) -> Response:
        """Make the gate what the body says; what it leaves out has its default then."""
        gate = self._gate(gate_id)
        wanted = body.read(request, gate_bodies.NewGate)
        return self._save(request, gate, wanted.whole(), reason=wanted.reason)

    def patch(self, request: Request, gate_id: str) -> Response:
        """Fields that are not sent stay as they are. A change that changes nothing is not recorded."""
        gate = self._gate(gate_id)
        wanted = body.read(request, gate_bodies.ChangeGate)
        return self._save(request, gate, wanted.values(), reason=wanted.reason)

    def delete(self, request: Request, gate_id: str) -> Response:
        wanted = query.read(request, query.Delete)
        gate = self._gate(gate_id)
        with conditional.as_read(request, limit_shapes.gate(gate), gate.updated_at) as as_read:
            gates.delete(self.principal, gate, reason=wanted.reason, as_read=as_read)
        return Response(status=204)

    def _save(self, request: Request, gate: Gate, values: dict[str, Any], *, reason: str) -> Response:
        with conditional.as_read(request, limit_shapes.gate(gate), gate.updated_at) as as_read:
            saved = gates.save(self.principal, gate, values, reason=reason, as_read=as_read)
        return conditional.tagged(limit_shapes.gate(saved))

    def _gate(self, gate_id: str) -> Gate:
        return gates.get(self.principal, number(gate_id, noun="gate"))


class GateChanges(Endpoint):
    """GET /gate-changes, newest first."""

    scopes = {"GET": gates.READ}
    contract = {
        "GET": Operation(
            "list_gate_changes",
            "List who changed, paused or resumed what, newest first",
            query=query.GateChanges,
            answers={200: page(answers.GateChange)},
        )
    }

    def get(self, request: Request) -> Response:
        wanted = query.read(request, query.GateChanges)
        rows = gates.changes(self.principal)
        if wanted.target:
            rows = rows.filter(target=wanted.target)
        shape = shapes.each(limit_shapes.gate_change)
        return pages.page(request, rows, wanted, shapes=shape, order=pages.LAST_WRITTEN_FIRST)
