"""Mails to people who may decide: each is a task of its own, and an approval is told of once for each reason."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Min, QuerySet
from django.db.models.functions import Now

from agentapp import flows, ids, registry
from agentapp.errors import InvalidPlan
from agentapp.lifecycle import database
from agentapp.lifecycle.looks import Look
from agentapp.lifecycle.opened import Opened
from agentapp.lifecycle.submit import submit
from agentapp.models import Approval, Membership, Workflow
from agentapp.states import ApprovalState, Origin

KIND = "approval_mail"
ACTOR = "dispatcher"
# A mail that could not be sent for so long says nothing that still holds.
OPEN_FOR_S = 24 * 3600.0


def _due(moment: datetime | Now) -> QuerySet[Approval]:
    return Approval.objects.filter(state=ApprovalState.PENDING, mail_at__lte=moment).order_by("mail_at")


LOOK = Look(_due)


def tenants(*, pause: timedelta, limit: int, but_not: Sequence[UUID | str] = ()) -> list[int]:
    """The tenants, but for some by their ids, with approvals of which somebody is to be told by now, the longest due
    first. Those whose people were told within the pause come later, and must not keep others from it."""
    if not LOOK.finds_any():
        return []
    told = Membership.objects.filter(mailed_at__gt=database.now() - pause).values("tenant")
    rows = _due(database.moment()).exclude(tenant__in=told).exclude(tenant__in=[int(str(each)) for each in but_not])
    first = rows.order_by().values("tenant_id").annotate(first=Min("mail_at")).order_by("first", "tenant_id")
    return list(first.values_list("tenant_id", flat=True)[:limit])


def members(tenant_id: int) -> list[Membership]:
    """Those of a tenant who get mails, who was told longest ago first. In a transaction: another
    dispatcher that tells them waits here for its end, and what it has told is no longer due."""
    able = Membership.objects.filter(tenant=tenant_id, gets_mails=True, user__is_active=True).exclude(user__email="")
    with database.atomic():
        rows = able.select_for_update(of=("self",), no_key=True).order_by("pk")
        return sorted(rows, key=lambda each: (each.mailed_at is not None, each.mailed_at, each.pk))


def due(tenant_id: int, *, limit: int) -> list[Approval]:
    """Those of a tenant, the longest due first, with their tasks."""
    return list(_due(database.moment()).filter(tenant=tenant_id).select_related("workflow")[:limit])


def write_down(membership: Membership, approvals: Sequence[Approval], *, most: int) -> Opened | None:
    """Write down the task that tells a member of approvals, once; None: it was written down before.

    Its id follows from the member and from what is told, so that a database that was restored to before `told` tells
    nothing twice: its provider is asked.
    """
    flow = registry.latest_flow(KIND)
    if flow is None:
        raise InvalidPlan(f"There is no task kind {KIND}: it is part of tasks/flows.")
    names = b"".join(sorted(each.pk.bytes + str(each.mail_at).encode() for each in approvals))
    born_ms = max(each.created_at for each in approvals).timestamp() * 1000
    id = ids.derived(int(born_ms), names, str(membership.pk).encode())
    if Workflow.objects.filter(pk=id).exists():
        return None
    wanted = {"user_id": membership.user_id, "approvals": [str(each.pk) for each in approvals[:most]]}
    workflow = Workflow(
        id=id, tenant_id=membership.tenant_id, kind=KIND, version=flow.version, origin=Origin.NOTICE, input=wanted,
        labels={}, result_bind=flows.paths_of(flow.result),
    )  # fmt: skip
    return submit(workflow, stages=flows.plan(flow), actor=ACTOR, deadline_s=OPEN_FOR_S)[0]


def told(approvals: Sequence[Approval], members: Sequence[int]) -> None:
    """Note that these members were told of these approvals. A reminder that came meanwhile stays due."""
    latest = max((each.mail_at for each in approvals if each.mail_at), default=None)
    with database.atomic():
        Membership.objects.filter(pk__in=members).update(mailed_at=database.now())
        Approval.objects.filter(pk__in=_ids(approvals), mail_at__lte=latest).update(mail_at=None)


def _ids(approvals: Sequence[Approval]) -> list[UUID]:
    return sorted(each.pk for each in approvals)
