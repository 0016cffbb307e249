"""How long a session lasts: never longer than its limit, and not that long without a request of the person. [G6]"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends.base import SessionBase
from django.contrib.sessions.backends.db import SessionStore as DatabaseStore
from django.http import HttpRequest, HttpResponseBase
from django.utils import timezone

from agentapp.api import links

_ENDS_AT = "ends_at"
# A row is written when this part of the time has passed, not at each request: the end may come so much earlier.
_EXACT = 1 / 20


def session_ends(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """Middleware: the row of a session says when it ends, so that no cookie outlives it. What a page asks by itself, as
    a list that looks for news does, keeps nobody signed in."""

    def handle(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        # After the page: signing in is one.
        if request.path_info.startswith(links.FOR_PEOPLE) and request.user.is_authenticated:
            is_by_person = request.headers.get("Sec-Fetch-Dest") != "empty"
            _extend(request.session, now=timezone.now(), is_by_person=is_by_person)
        return response

    return handle


class SessionStore(DatabaseStore):
    """The sessions of Django, of which those of people have an end from the first row on."""

    def save(self, must_create: bool = False) -> None:
        if SESSION_KEY in self and _ENDS_AT not in self:
            _extend(self, now=timezone.now(), is_by_person=True)
        super().save(must_create)


def _extend(session: SessionBase, *, now: datetime, is_by_person: bool) -> None:
    known = session.get(_ENDS_AT)
    if known is None:
        # It begins, or a release that knew no limits began it.
        ends_at = now + timedelta(seconds=settings.SESSION_COOKIE_AGE)
    elif is_by_person:
        ends_at = datetime.fromisoformat(known)
    else:
        return
    idle = timedelta(hours=settings.AGENTAPP_SESSION_IDLE_HOURS)
    end = min(ends_at, now + idle) if idle else ends_at
    if known is not None and end - session.get_expiry_date() <= idle * _EXACT:
        return
    if session.session_key and not session.exists(session.session_key):
        # Somebody has ended it meanwhile, perhaps this very page: to write it would be answered with 400.
        return
    session[_ENDS_AT] = ends_at.isoformat()
    session.set_expiry(end)
