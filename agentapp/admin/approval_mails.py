"""The page on which a person says in which tenants they are told by mail of approvals that wait."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse

from agentapp.admin.base import principal_of
from agentapp.policies import bounds
from agentapp.services import approval_mails

NAME = "agentapp_approval_mails"
TITLE = "Mails about approvals"


def answer(request: HttpRequest, frame: dict[str, Any]) -> HttpResponse:
    """Show the choice, and keep it when it is sent."""
    principal = principal_of(request)
    if request.method == "POST":
        sent = (bounds.whole(each, most=bounds.LARGEST_BIGINT) for each in request.POST.getlist("member"))
        approval_mails.choose(principal, {each for each in sent if each is not None})
        messages.success(request, "Saved.")
        return redirect(request.path)
    context = frame | {"memberships": approval_mails.own(principal), "address": getattr(request.user, "email", "")}
    return TemplateResponse(request, "agentapp/approval_mails.html", context)
