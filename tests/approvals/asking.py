"""Tasks whose approvals policies ask for, and the people who decide them."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import Group, Permission, User

from agentapp import registry
from agentapp.flows import Decision, Flow, Step
from agentapp.models import Approval, ApprovalPolicy, Membership, Tenant, Workflow
from agentapp.services import approvals, principals
from agentapp.services.principals import Principal
from tests import harness, kinds

KIND = "probe_approval_policy"


class Question(kinds.Anything):
    risk: str | None = None
    evaluation: dict[str, Any] | None = None


ASKED = {"content": "probe_ask.content", "content_sha256": "probe_ask.content_sha256"}
registry.add_flow(
    Flow(
        kind=KIND,
        version=1,
        input=Question,
        stages=(
            Step("probe_ask", bind={"text": "input.text"}),
            Decision(
                back_to="probe_ask", bind=ASKED | {"risk": "input.risk?", "evaluation": "input.evaluation?"}
            ),
            Step("probe_tell", bind={"approval_id": "approval.approval_id"}),
        ),
        result={"outcome": "probe_tell.outcome"},
    )
)  # fmt: skip


# What a sample may let pass.
PASSES: dict[str, Any] = {"risk": "low", "evaluation": {"verdict": "pass"}}


def policy(**values: Any) -> ApprovalPolicy:
    return ApprovalPolicy.objects.create(**{"name": "four hands"} | values)


def ask(principal: Principal, **fields: Any) -> Approval:
    """A task that waits for an approval."""
    task = harness.run_workflow(principal, KIND, {"text": "hello"} | fields)
    return Approval.objects.get(workflow=task)


def task_of(approval: Approval) -> Workflow:
    harness.drain(Workflow.objects.get(pk=approval.workflow_id))
    return Workflow.objects.get(pk=approval.workflow_id)


def person(name: str, tenant: Tenant, *groups: str) -> Principal:
    """A member of a tenant who may decide; of these groups."""
    user = User.objects.create_user(name, f"{name}@sample.test", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="change_approval"))
    Membership.objects.create(user=user, tenant=tenant)
    for group in groups:
        user.groups.add(Group.objects.get_or_create(name=group)[0])
    return again(user)


def again(user: User) -> Principal:
    """The same person at their next request."""
    return principals.of_user(User.objects.get(pk=user.pk))


def decide(who: Principal, approval: Approval, decision: str = "approve", **more: Any) -> Approval:
    """Decide on what the approval shows now, or on the hash that is given."""
    sha256 = more.pop("content_sha256", None) or Approval.objects.get(pk=approval.pk).content_sha256
    return approvals.decide(who, approval.pk, decision=decision, content_sha256=sha256, **more)


def edit(who: Principal, approval: Approval, body: str, **more: Any) -> Approval:
    content = Approval.objects.get(pk=approval.pk).content | {"body": body} | more
    return decide(who, approval, "edit", content=content)
