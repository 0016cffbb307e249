"""The page on which several equal mails of low risk are read, and approved by one confirmation."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse

from agentapp import ids
from agentapp.admin import cells, evidence, masking, neighbours, undo
from agentapp.admin.base import REFUSALS, principal_of, refuse
from agentapp.models import Approval
from agentapp.services import equal_approvals, recipients
from agentapp.services.equal_approvals import MOST as MOST
from agentapp.services.equal_approvals import Equal
from agentapp.services.principals import Principal

NAME = "agentapp_approval_equal"
TITLE = "Approve equal mails"
_TEMPLATE = "agentapp/equal_approvals.html"


def page(request: HttpRequest, chosen: Iterable[UUID]) -> str:
    """The address of the page; it remembers the list that it was opened from."""
    query = {"ids": ",".join(map(str, chosen)), neighbours.FILTERS: request.GET.urlencode()}
    return f"{reverse(f'admin:{NAME}')}?{urlencode(query)}"


def answer(request: HttpRequest, frame: dict[str, Any]) -> HttpResponse:
    """Show those that were chosen; approve what was read; take back what is held."""
    context = frame | {"list_url": neighbours.list_url(request), "most": MOST}
    principal = principal_of(request)
    try:
        if request.POST.get("decision") == "withdraw_equal":
            return _withdraw(request)
        if request.method == "POST":
            done = equal_approvals.approve(principal, _shown(request))
            return _finished(request, context | {"done": done, **_told(principal, done)})
        found = equal_approvals.sort_out(principal, _ids(request.GET.get("ids", "").split(",")))
    except REFUSALS as error:
        return TemplateResponse(request, _TEMPLATE, context, status=refuse(request, error))
    mails = [_mail(principal, each) for each in found.approvals]
    return TemplateResponse(request, _TEMPLATE, context | {"mails": mails, **_told(principal, found)})


def _finished(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    """Say what was approved. The browser forgets no draft by it: what somebody has edited is not approved here."""
    done: Equal = context["done"]
    held = [each for each in done.approvals if undo.left_s(each)]
    left_s = min((undo.left_s(each) for each in held), default=0)
    status = 200 if done.approvals or not done.left_out else 409
    return TemplateResponse(request, _TEMPLATE, context | {"held": held, "left_s": left_s}, status=status)


def _withdraw(request: HttpRequest) -> HttpResponse:
    principal = principal_of(request)
    done = equal_approvals.withdraw(principal, _ids(request.POST.getlist("approval")))
    if done.approvals:
        messages.success(
            request, f"{len(done.approvals)} withdrawn: nothing of them was sent. They wait for a decision again."
        )
    for each, reason in done.left_out:
        messages.warning(request, f"{_title(principal, each)}: {reason}")
    return redirect(neighbours.list_url(request))


def _mail(principal: Principal, approval: Approval) -> dict[str, Any]:
    content = approval.content
    return {
        "record": approval, "title": _title(principal, approval), **evidence.shown(content),
        "evaluation": evidence.evaluation(approval), "customer": recipients.bypassed_customer(approval, content),
    }  # fmt: skip


def _told(principal: Principal, equal: Equal) -> dict[str, Any]:
    left_out = [{"record": each, "title": _title(principal, each), "reason": why} for each, why in equal.left_out]
    return {"left_out": left_out}


def _title(principal: Principal, approval: Approval) -> str:
    """What is left out may be of a tenant whose payloads the person may not see: its subject is one."""
    is_hidden = masking.hides(principal, approval.tenant_id)
    return str(approval.pk) if is_hidden else cells.headline(evidence.title(approval.content))


def _shown(request: HttpRequest) -> dict[UUID, str]:
    """What the form had shown: `approval` is an id and the hash of its content."""
    pairs = [each.partition(":") for each in request.POST.getlist("approval")]
    return {pk: sha256 for given, _, sha256 in pairs if (pk := ids.parsed(given))}


def _ids(given: Iterable[str]) -> list[UUID]:
    return [pk for each in given if (pk := ids.parsed(each))]
