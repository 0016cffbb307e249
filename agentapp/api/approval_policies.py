"""/approval-policies: who decides on which approvals. For who runs the platform."""

from __future__ import annotations

from typing import Annotated, Any, cast

import pydantic
from rest_framework.request import Request
from rest_framework.response import Response

from agentapp.api import body, conditional, links, pages, query, shapes
from agentapp.api.answers import approval_policies as answers
from agentapp.api.approval_policy_bodies import ChangeApprovalPolicy, NewApprovalPolicy
from agentapp.api.contract.headers import AS_READ, LOCATION, changed, tagged
from agentapp.api.contract.operation import Operation, nothing, one, page
from agentapp.api.endpoint import Endpoint, number
from agentapp.models import ApprovalPolicy
from agentapp.policies import bounds
from agentapp.services import approval_policies, electorates

PolicyId = Annotated[int, pydantic.Field(ge=1, le=bounds.LARGEST_BIGINT, description="The id of the approval policy.")]


def each(rows: list[ApprovalPolicy]) -> list[answers.ApprovalPolicy]:
    warnings = electorates.warnings(rows)
    return [_policy(row, " ".join(filter(None, (warnings[row.pk], electorates.without_links(row))))) for row in rows]


def shape(row: ApprovalPolicy) -> answers.ApprovalPolicy:
    return each([row])[0]


def _policy(row: ApprovalPolicy, warning: str) -> answers.ApprovalPolicy:
    values = {name: getattr(row, name) for name in approval_policies.SETTABLE}
    values |= {"tenant": row.tenant.slug if row.tenant else None, "warning": warning or None}
    return cast("answers.ApprovalPolicy", {"id": row.pk, **values, "updated_at": shapes.time(row.updated_at)})


class ApprovalPolicies(Endpoint):
    """GET /approval-policies, POST /approval-policies."""

    scopes = {"GET": approval_policies.READ, "POST": approval_policies.WRITE}
    contract = {
        "GET": Operation(
            "list_approval_policies", "List approval policies", query=query.Page,
            answers={200: page(answers.ApprovalPolicy)},
        ),
        "POST": Operation(
            "make_approval_policy", "Make an approval policy", body=NewApprovalPolicy,
            answers={201: one(answers.ApprovalPolicy, "The approval policy.", LOCATION)},
        ),
    }  # fmt: skip

    def get(self, request: Request) -> Response:
        wanted = query.read(request, query.Page)
        rows = approval_policies.listing(self.principal)
        return pages.page(request, rows, wanted, shapes=each, order=pages.FIRST_WRITTEN_FIRST)

    def post(self, request: Request) -> Response:
        wanted = body.read(request, NewApprovalPolicy)
        policy = approval_policies.save(self.principal, ApprovalPolicy(), wanted.values(), reason=wanted.reason)
        headers = {"Location": links.to(f"/approval-policies/{policy.pk}")}
        return Response(shape(policy), status=201, headers=headers)


class OneApprovalPolicy(Endpoint):
    """GET, PUT, PATCH and DELETE /approval-policies/{id}."""

    scopes = {
        "GET": approval_policies.READ, "PUT": approval_policies.WRITE, "PATCH": approval_policies.WRITE,
        "DELETE": approval_policies.WRITE,
    }  # fmt: skip
    contract = {
        "GET": Operation("get_approval_policy", "Read an approval policy", **tagged(answers.ApprovalPolicy)),
        "PUT": Operation(
            "replace_approval_policy", "Replace an approval policy", body=NewApprovalPolicy,
            **changed(answers.ApprovalPolicy),
        ),
        "PATCH": Operation(
            "change_approval_policy", "Change an approval policy", body=ChangeApprovalPolicy,
            **changed(answers.ApprovalPolicy),
        ),
        "DELETE": Operation(
            "delete_approval_policy", "Delete an approval policy", query=query.Delete,
            answers={204: nothing("It is deleted.")}, **AS_READ,
        ),
    }  # fmt: skip
    path_parameters = {"policy_id": PolicyId}

    def get(self, request: Request, policy_id: str) -> Response:
        return conditional.read(request, shape(self._policy(policy_id)))

    def put(self, request: Request, policy_id: str) -> Response:
        """Make the policy what the body says; what it leaves out has its default then."""
        policy = self._policy(policy_id)
        wanted = body.read(request, NewApprovalPolicy)
        return self._save(request, policy, wanted.whole(), reason=wanted.reason)

    def patch(self, request: Request, policy_id: str) -> Response:
        """Fields that are not sent stay as they are. A change that changes nothing is not recorded."""
        policy = self._policy(policy_id)
        wanted = body.read(request, ChangeApprovalPolicy)
        return self._save(request, policy, wanted.values(), reason=wanted.reason)

    def delete(self, request: Request, policy_id: str) -> Response:
        wanted = query.read(request, query.Delete)
        policy = self._policy(policy_id)
        with conditional.as_read(request, shape(policy), policy.updated_at) as as_read:
            approval_policies.delete(self.principal, policy, reason=wanted.reason, as_read=as_read)
        return Response(status=204)

    def _save(self, request: Request, policy: ApprovalPolicy, values: dict[str, Any], *, reason: str) -> Response:
        with conditional.as_read(request, shape(policy), policy.updated_at) as as_read:
            saved = approval_policies.save(self.principal, policy, values, reason=reason, as_read=as_read)
        return conditional.tagged(shape(saved))

    def _policy(self, policy_id: str) -> ApprovalPolicy:
        return approval_policies.get(self.principal, number(policy_id, noun="approval policy"))
