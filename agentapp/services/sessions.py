"""Sessions in the admin and the console that a person, or who answers for them, ends at once. [G6]"""

from __future__ import annotations

from django.contrib.auth.models import User

from agentapp.errors import PermissionDenied
from agentapp.lifecycle import sessions as moves
from agentapp.models import Membership
from agentapp.services import people
from agentapp.services.principals import Principal

ACTION = "sessions ended"


def end_own(person: User, *, but: str | None) -> int:
    """End the other sessions of the person who asks; return how many. `but`: the key of the one they ask from."""
    people.note_of_all(person, ACTION)
    return moves.end(person, but=but)


def end_of_member(by: Principal, membership_id: int) -> Membership:
    """End all sessions of a person. Raises as `people.set_active`."""
    membership = people.whole(by, membership_id)
    people.note(membership, ACTION, by)
    moves.end(membership.user)
    return membership


def end_of(by: Principal, person: User) -> int:
    """End all sessions of anybody; return how many. For superusers. Raises PermissionDenied."""
    if by.tenant_ids is not None:
        raise PermissionDenied("Only a superuser ends the sessions of any account.")
    for membership in person.memberships.select_related("user", "tenant"):
        people.note(membership, ACTION, by)
    return moves.end(person)
