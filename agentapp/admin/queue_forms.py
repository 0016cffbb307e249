"""The forms of an approval that decide nothing: claim, release, snooze, withdraw."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone

from agentapp import clock
from agentapp.admin import neighbours
from agentapp.admin.base import principal_of
from agentapp.errors import InvalidInput
from agentapp.models import Approval
from agentapp.policies import moments
from agentapp.services import assignments, electorates, withdrawals
from agentapp.states import ApprovalState

FORMS = ("claim", "take_over", "release", "assign", "snooze", "wake", "withdraw")
WITHDRAWN = "Withdrawn: nothing was sent. It waits for a decision again."
# For how many hours an approval can be put aside, in words.
SNOOZES = {"1": "an hour", "4": "4 hours", "24": "a day", "72": "3 days", "168": "a week"}


def act(request: HttpRequest, record: Approval, form: str) -> HttpResponse:
    """Do what the form asks for, and show the approval again. Raises as the services do."""
    return redirect(neighbours.url(request, do(request, record, form).pk))


def do(request: HttpRequest, record: Approval, form: str) -> Approval:
    """Do what the form asks for; return the approval that waits now. Raises as the services do."""
    principal = principal_of(request)
    match form:
        case "withdraw":
            record = withdrawals.withdraw(principal, record.pk, reason=request.POST.get("reason", ""))
            messages.success(request, WITHDRAWN)
        case "claim" | "take_over":
            assignments.claim(principal, record.pk, takes_over=form == "take_over")
        case "assign":
            assignments.assign(principal, record.pk, person=request.POST.get("person", ""))
        case "release":
            assignments.release(principal, record.pk)
        case "snooze":
            assignments.snooze(principal, record.pk, until=_until(request))
        case "wake":
            assignments.snooze(principal, record.pk, until=None)
    return record


def _until(request: HttpRequest) -> datetime:
    """Until when to snooze: the moment that a person has chosen in their time zone, or else a length of SNOOZES."""
    if chosen := request.POST.get("until", "").strip():
        try:
            return moments.of_clock(chosen, timezone.get_current_timezone())
        except ValueError as error:
            raise InvalidInput.at("until", str(error)) from error
    hours = request.POST.get("hours", "")
    return clock.now() + timedelta(hours=int(hours if hours in SNOOZES else "1"))


def context(request: HttpRequest, record: Approval) -> dict[str, Any]:
    """What templates/agentapp/approval/assigned.html shows."""
    if record.state != ApprovalState.PENDING:
        return {}
    return {**looked_after(request, record), "colleagues": electorates.colleagues(record)}


def looked_after(request: HttpRequest, record: Approval) -> dict[str, Any]:
    """Who looks after an approval that waits, and until when it is snoozed."""
    is_snoozed = record.snoozed_until is not None and record.snoozed_until > clock.now()
    return {
        "holder": assignments.holder(record),
        "is_mine": record.claimed_by_user_id == request.user.pk,
        "snoozed_until": record.snoozed_until if is_snoozed else None,
        "snoozes": SNOOZES,
    }
