"""/gates: rules of how much runs at once, and how fast; /gate-changes: who changed what. For who runs the platform."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from agentapp.api import body, links, pages, query, schemas, shapes
from agentapp.api.endpoint import Endpoint, number
from agentapp.models import Gate
from agentapp.services import gates


class Gates(Endpoint):
    """GET /gates, POST /gates."""

    scopes = {"GET": gates.READ, "POST": gates.WRITE}
    parameters = {"GET": query.Gates}

    def get(self, request: Request) -> Response:
        wanted = query.read(request, query.Gates)
        rows = gates.listing(self.principal)
        if wanted.scope:
            rows = rows.filter(scope=wanted.scope)
        return pages.page(request, rows, wanted, shapes=shapes.each(shapes.gate), order=pages.BY_SCOPE_OLDEST_FIRST)

    def post(self, request: Request) -> Response:
        wanted = body.read(request, schemas.NewGate)
        gate = gates.save(self.principal, Gate(), wanted.values(), reason=wanted.reason)
        return Response(shapes.gate(gate), status=201, headers={"Location": links.to(f"/gates/{gate.pk}")})


class OneGate(Endpoint):
    """GET, PUT, PATCH and DELETE /gates/{id}."""

    scopes = {"GET": gates.READ, "PUT": gates.WRITE, "PATCH": gates.WRITE, "DELETE": gates.WRITE}
    parameters = {"DELETE": query.Delete}

    def get(self, request: Request, gate_id: str) -> Response:
        return Response(shapes.gate(self._gate(gate_id)))

    def put(self, request: Request, gate_id: str) -> Response:
        """Make the gate what the body says; what it leaves out has its default then."""
        gate = self._gate(gate_id)
        wanted = body.read(request, schemas.NewGate)
        return Response(shapes.gate(gates.save(self.principal, gate, wanted.whole(), reason=wanted.reason)))

    def patch(self, request: Request, gate_id: str) -> Response:
        """Change what the body names; the rest stays as it is."""
        gate = self._gate(gate_id)
        wanted = body.read(request, schemas.ChangeGate)
        return Response(shapes.gate(gates.save(self.principal, gate, wanted.values(), reason=wanted.reason)))

    def delete(self, request: Request, gate_id: str) -> Response:
        wanted = query.read(request, query.Delete)
        gates.delete(self.principal, self._gate(gate_id), reason=wanted.reason)
        return Response(status=204)

    def _gate(self, gate_id: str) -> Gate:
        return gates.get(self.principal, number(gate_id, noun="gate"))


class GateChanges(Endpoint):
    """GET /gate-changes, newest first."""

    scopes = {"GET": gates.READ}
    parameters = {"GET": query.GateChanges}

    def get(self, request: Request) -> Response:
        wanted = query.read(request, query.GateChanges)
        rows = gates.changes(self.principal)
        if wanted.target:
            rows = rows.filter(target=wanted.target)
        shape = shapes.each(shapes.gate_change)
        return pages.page(request, rows, wanted, shapes=shape, order=pages.LAST_WRITTEN_FIRST)
