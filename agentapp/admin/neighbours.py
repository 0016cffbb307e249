"""The approvals before and after one, in the order and with the filters of the list that it was opened from."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, QueryDict
from django.urls import reverse

from agentapp.models import Approval
from agentapp.states import ApprovalState

# Django's own name for the query of the list, which its links carry.
FILTERS = "_changelist_filters"
# Beyond so many that wait, a list has no next one; the longest list that a team works through is shorter.
MOST = 10_000


@dataclass(frozen=True)
class Neighbours:
    """Addresses, empty where there is none. `waiting` counts the others that wait."""

    earlier: str
    later: str
    waiting: int
    # What opens by itself after a decision.
    following: str


def of(page: Any, request: HttpRequest, record: Approval) -> Neighbours:
    """Where the list goes on from this approval; `page` is the admin of approvals."""
    ids = list(_list(page, request).filter(state=ApprovalState.PENDING).values_list("pk", flat=True)[:MOST])
    others = [each for each in ids if each != record.pk]
    place = ids.index(record.pk) if record.pk in ids else 0
    earlier = others[place - 1] if place > 0 else None
    later = others[place] if place < len(others) else None
    following = later or (others[0] if others else None)
    addresses = [url(request, each) if each else "" for each in (earlier, later, following)]
    return Neighbours(addresses[0], addresses[1], len(others), following=addresses[2])


def _list(page: Any, request: HttpRequest) -> Any:
    """The rows of the list, as it was filtered and ordered when the approval was opened."""
    shown = copy(request)
    shown.GET = QueryDict(request.GET.get(FILTERS, ""))
    return page.rows_of_list(shown)


def url(request: HttpRequest, approval_id: Any) -> str:
    """The page of an approval, which knows the list again."""
    page = reverse("admin:agentapp_approval_change", args=(approval_id,))
    filters = request.GET.get(FILTERS, "")
    return f"{page}?{urlencode({FILTERS: filters})}" if filters else page


def list_url(request: HttpRequest) -> str:
    filters = request.GET.get(FILTERS, "")
    page = reverse("admin:agentapp_approval_changelist")
    return f"{page}?{filters}" if filters else page
