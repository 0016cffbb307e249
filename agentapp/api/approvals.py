"""/approvals: what waits for a person, and the person's decision."""

from __future__ import annotations

from functools import partial

from django.db.models import QuerySet
from rest_framework.request import Request
from rest_framework.response import Response

from agentapp.api import approval_shapes, body, pages, query, schemas
from agentapp.api.answers import approvals as answers
from agentapp.api.contract.operation import Operation, one, page
from agentapp.api.endpoint import Endpoint, identifier
from agentapp.models import Approval
from agentapp.services import approvals, assignments, withdrawals
from agentapp.services.principals import Principal


class Approvals(Endpoint):
    """GET /approvals?state=pending."""

    scopes = {"GET": "approvals:read"}
    contract = {
        "GET": Operation(
            "list_approvals",
            "List approvals, newest first",
            query=query.Approvals,
            answers={200: page(answers.Approval)},
            description="`?state=pending` is the inbox.",
        )
    }

    def get(self, request: Request) -> Response:
        wanted = query.read(request, query.Approvals)
        rows = approvals.listing(self.principal).select_related(*approval_shapes.WHO)
        return pages.page(
            request,
            matching(rows, wanted, self.principal),
            wanted,
            shapes=partial(approval_shapes.each, self.principal),
        )


class OneApproval(Endpoint):
    """GET /approvals/{id}."""

    scopes = {"GET": "approvals:read"}
    contract = {"GET": Operation("get_approval", "Read an approval", answers={200: one(answers.Approval)})}

    def get(self, request: Request, approval_id: str) -> Response:
        found = approvals.get(self.principal, identifier(approval_id, noun="approval"))
        return Response(approval_shapes.one(self.principal, found))


class Decision(Endpoint):
    """POST /approvals/{id}/decision."""

    scopes = {"POST": "approvals:decide"}
    contract = {
        "POST": Operation(
            "decide_approval",
            "Decide on an approval",
            body=schemas.Decide,
            answers={200: one(answers.Approval)},
            problems=("conflict",),
            also=("approvals:read",),
        )
    }

    def post(self, request: Request, approval_id: str) -> Response:
        approval = identifier(approval_id, noun="approval")
        wanted = body.read(request, schemas.Decide)
        decided = approvals.decide(
            self.principal,
            approval,
            decision=wanted.decision,
            content_sha256=wanted.content_sha256,
            content=wanted.content,
            raise_to=wanted.raise_to,
            reason=wanted.reason,
        )
        return Response(approval_shapes.one(self.principal, decided))


class Claim(Endpoint):
    """POST /approvals/{id}/claim."""

    scopes = {"POST": "approvals:decide"}
    contract = {
        "POST": Operation(
            "claim_approval",
            "Claim an approval, or assign it to a person",
            body=schemas.Claim,
            answers={200: one(answers.Approval)},
            problems=("conflict",),
            also=("approvals:read",),
            description="It says who looks after it, for AGENTAPP_CLAIM_MINUTES; others may still decide on it.",
        )
    }

    def post(self, request: Request, approval_id: str) -> Response:
        approval = identifier(approval_id, noun="approval")
        wanted = body.read(request, schemas.Claim)
        if wanted.person is not None:
            claimed = assignments.assign(self.principal, approval, person=wanted.person)
        else:
            claimed = assignments.claim(self.principal, approval, takes_over=wanted.take_over)
        return Response(approval_shapes.one(self.principal, claimed))


class Release(Endpoint):
    """POST /approvals/{id}/release."""

    scopes = {"POST": "approvals:decide"}
    contract = {
        "POST": Operation(
            "release_approval",
            "Release an approval that somebody has claimed",
            body=schemas.Nothing,
            answers={200: one(answers.Approval)},
            problems=("conflict",),
            also=("approvals:read",),
        )
    }

    def post(self, request: Request, approval_id: str) -> Response:
        approval = identifier(approval_id, noun="approval")
        body.read(request, schemas.Nothing)
        return Response(approval_shapes.one(self.principal, assignments.release(self.principal, approval)))


class Snooze(Endpoint):
    """POST /approvals/{id}/snooze."""

    scopes = {"POST": "approvals:decide"}
    contract = {
        "POST": Operation(
            "snooze_approval",
            "Hide an approval from lists for a while",
            body=schemas.Snooze,
            answers={200: one(answers.Approval)},
            problems=("conflict",),
            also=("approvals:read",),
        )
    }

    def post(self, request: Request, approval_id: str) -> Response:
        approval = identifier(approval_id, noun="approval")
        wanted = body.read(request, schemas.Snooze)
        return Response(
            approval_shapes.one(self.principal, assignments.snooze(self.principal, approval, until=wanted.until))
        )


class Withdrawal(Endpoint):
    """POST /approvals/{id}/withdraw."""

    scopes = {"POST": "approvals:decide"}
    contract = {
        "POST": Operation(
            "withdraw_approval",
            "Withdraw an approval of which nothing was sent",
            body=schemas.Withdraw,
            answers={200: one(answers.Approval)},
            problems=("conflict",),
            also=("approvals:read",),
            description="The same content is asked again: the answer is the approval that waits for a decision now. "
            "Twice is once. 409 when it was sent already, or its task has gone on.",
        )
    }

    def post(self, request: Request, approval_id: str) -> Response:
        approval = identifier(approval_id, noun="approval")
        wanted = body.read(request, schemas.Withdraw)
        asked = withdrawals.withdraw(self.principal, approval, reason=wanted.reason)
        return Response(approval_shapes.one(self.principal, asked))


def matching(rows: QuerySet[Approval], wanted: query.Approvals, principal: Principal) -> QuerySet[Approval]:
    """Narrow the approvals to what the parameters ask for."""
    if wanted.snoozed:
        rows = assignments.snoozed(rows)
    elif not wanted.task:
        rows = assignments.not_snoozed(rows)
    if wanted.assigned_to:
        rows = assignments.assigned_to(rows, principal, wanted.assigned_to)
    if wanted.state:
        rows = rows.filter(state=wanted.state)
    if wanted.task:
        rows = rows.filter(workflow_id=wanted.task)
    return rows
