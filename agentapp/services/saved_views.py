"""Filters of lists that people keep under a name. Each belongs to one person, and is seen by nobody else."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode

from django.contrib.auth.models import User
from django.db.models import QuerySet

from agentapp.errors import InvalidInput
from agentapp.models import SavedView

# Of one person and list.
MOST = 30
LONGEST_NAME, LONGEST_QUERY = 100, 2_000
# Which page of a list it was is no filter.
_LEFT_OUT = {"p", "all", "e", "_facets"}


def listing(user: User, page: str) -> QuerySet[SavedView]:
    """The views of a person of one list, by name."""
    return SavedView.objects.filter(user=user, page=page).order_by("name")[:MOST]


def keep(user: User, page: str, *, name: str, query: str) -> SavedView:
    """Keep the filters of a list; one with the same name is replaced.

    Raises:
        InvalidInput: without a name or a filter, too long, or one too many.
    """
    name = " ".join(name.split())
    kept = urlencode([(key, value) for key, value in parse_qsl(query) if key not in _LEFT_OUT])
    if not 0 < len(name) <= LONGEST_NAME:
        raise InvalidInput.at("name", f"Give the view a name of 1 to {LONGEST_NAME} characters.")
    if not 0 < len(kept) <= LONGEST_QUERY:
        raise InvalidInput.at("query", "Choose a filter first." if not kept else "These are too many filters to keep.")
    mine = SavedView.objects.filter(user=user, page=page)
    if mine.count() >= MOST and not mine.filter(name=name).exists():
        raise InvalidInput.at("name", f"You have {MOST} views of this list already. Delete one.")
    view, _ = SavedView.objects.update_or_create(user=user, page=page, name=name, defaults={"query": kept})
    return view


def forget(user: User, view_id: int) -> bool:
    """Delete a view of this person; False when there is none."""
    return bool(SavedView.objects.filter(user=user, pk=view_id).delete()[0])
