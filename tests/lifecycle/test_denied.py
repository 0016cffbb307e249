"""What is taken from the principal of a task between its submission and its run stops it. [H3] [INV6]"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from agentapp import registry
from agentapp.flows import Flow, Step
from agentapp.models import ApiKey, Attempt, Effect, Job, Membership, Tenant, Workflow
from agentapp.policies.permissions import API_SCOPES, ROLES
from agentapp.runtime import JobContext, job
from agentapp.services import workflows
from agentapp.services.principals import Principal
from tests import kinds
from tests.harness import drain, histories_are_legal

pytestmark = pytest.mark.django_db

EACH = 50
Taken = Callable[[Principal], object]
during: list[Taken] = []


@job(queue="send")
def probe_denied(ctx: JobContext) -> dict[str, Any]:
    """Lose a right while it runs, where a test says so, and then send."""
    for take in during:
        task = Workflow.objects.select_related("api_key").get(pk=ctx.workflow_id)
        take(Principal(frozenset(), frozenset({ctx.tenant_id}), api_key=task.api_key))
    return ctx.effect(f"denied:{ctx.workflow_id}", lambda effect_id: {"id": effect_id}, type="probe", request={})


registry.add_flow(Flow(kind="probe_denied", version=1, input=kinds.Anything, stages=(Step("probe_denied"),)))


def person(principal: Principal, tenant: Tenant) -> Principal:
    user = User.objects.create_user("submits")
    Membership.objects.create(user=user, tenant=tenant, role="operator")
    return Principal(ROLES["operator"], frozenset({tenant.pk}), user=user)


def key_of(principal: Principal) -> Any:
    assert principal.api_key is not None
    return ApiKey.objects.filter(pk=principal.api_key.pk)


def membership_of(principal: Principal) -> Any:
    return Membership.objects.filter(user=principal.user)


def people(principal: Principal) -> Any:
    return User.objects.filter(memberships__in=membership_of(principal))


def suspend(principal: Principal) -> object:
    return Tenant.objects.filter(pk__in=principal.tenant_ids or ()).update(suspended_at=timezone.now())


LOSSES: dict[str, tuple[bool, Taken, str]] = {
    "key revoked": (False, lambda who: key_of(who).update(revoked_at=timezone.now()), "was revoked"),
    "key expired": (False, lambda who: key_of(who).update(expires_at=timezone.now()), "has expired"),
    "scope removed": (
        False,
        lambda who: key_of(who).update(scopes=sorted({*API_SCOPES} - {"tasks:write"})),
        "does not hold tasks:write",
    ),
    "person deactivated": (True, lambda who: people(who).update(is_active=False), "no longer active"),
    "membership lost": (True, lambda who: membership_of(who).delete(), "no longer a member"),
    "role lost": (True, lambda who: membership_of(who).update(role="viewer"), "is viewer now"),
    "role unknown": (True, lambda who: membership_of(who).update(role="of another release"), "of another release"),
    "tenant suspended": (False, suspend, "tenant is suspended"),
}  # fmt: skip


@pytest.mark.parametrize("loss", LOSSES)
def test_what_is_lost_between_submission_and_run_stops_every_task(
    principal: Principal, other_principal: Principal, tenant: Tenant, loss: str
) -> None:
    is_person, take, said = LOSSES[loss]
    who = person(principal, tenant) if is_person else principal
    tasks = [workflows.submit(who, kind="probe_denied", input={}) for _ in range(EACH)]
    theirs = workflows.submit(other_principal, kind="probe_denied", input={})

    take(who)
    drain()

    mine = Job.objects.filter(workflow__in=tasks)
    assert set(mine.values_list("state", "attempt", "error__kind")) == {("dead_lettered", 0, "permission")}
    assert mine.count() == EACH and all(said in (one.error or {})["message"] for one in mine)
    assert list(Effect.objects.values_list("workflow_id", flat=True)) == [theirs.pk]
    assert not Attempt.objects.filter(job__in=mine).exists()
    assert histories_are_legal()


@pytest.mark.parametrize("loss", ["key revoked", "scope removed", "tenant suspended"])
def test_what_is_lost_while_a_job_runs_stops_its_effect(
    principal: Principal, loss: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{__name__}.during", [LOSSES[loss][1]])

    task = workflows.submit(principal, kind="probe_denied", input={})
    drain(task)

    letter = Job.objects.get(workflow=task)
    assert (letter.state, letter.attempt, (letter.error or {})["kind"]) == ("dead_lettered", 1, "permission")
    assert LOSSES[loss][2] in (letter.error or {})["message"] and not Effect.objects.exists()


def test_roles_that_submit_are_those_that_postgres_knows(principal: Principal, tenant: Tenant) -> None:
    """A role that is added must be added there too."""
    who = person(principal, tenant)
    for role, scopes in ROLES.items():
        membership_of(who).update(role="operator")
        task = workflows.submit(who, kind="probe_denied", input={})
        membership_of(who).update(role=role)
        drain(task)
        done = Workflow.objects.get(pk=task.pk)
        assert (done.state == "completed") == ("tasks:write" in scopes), role
