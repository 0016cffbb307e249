"""Sessions of people who are signed in. A row says whose it is only in its signed content."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from django.contrib.auth import SESSION_KEY
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session

from agentapp.lifecycle import database


def keys(people: Collection[User]) -> Iterator[str]:
    """The keys of the sessions of these people. Reads all that there are."""
    wanted = {str(person.pk) for person in people}
    for session in Session.objects.iterator():
        if session.get_decoded().get(SESSION_KEY) in wanted:
            yield session.session_key


def end(person: User, *, but: str | None = None) -> int:
    """End the sessions of a person, all or all `but` the one with this key; return how many."""
    chosen = [key for key in keys([person]) if key != but]
    with database.atomic():
        return int(Session.objects.filter(pk__in=chosen).delete()[0])
