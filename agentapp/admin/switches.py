"""Pause, drain and resume a key where the operations page names it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.text import capfirst

from agentapp.admin import cells, limits
from agentapp.admin.base import REFUSALS, principal_of, refuse
from agentapp.models import Limit
from agentapp.services import gates
from agentapp.services.principals import Principal
from agentapp.states import BreakerState, KeyMode

_NAMES = ("scope", "name", "action", "reason")


class Switches:
    """The switches of one page, for who may use them. What was refused stays in the first switch of its key, and in
    the one for any key where the page names that key nowhere."""

    def __init__(self, principal: Principal, typed: Mapping[str, str]) -> None:
        self._may_write = gates.WRITE in principal.scopes
        self._typed = typed

    def of(self, scope: str, name: str, limit: Limit | None) -> dict[str, Any] | None:
        """The switch of a key; `limit` is None where none of its jobs was counted yet."""
        if not self._may_write:
            return None
        is_stopped = limit is not None and (limit.mode != KeyMode.OPEN or limit.breaker != BreakerState.CLOSED)
        found = {"scope": scope, "name": name, "words": cells.key(scope, name), "is_stopped": is_stopped}
        if (self._typed.get("scope"), self._typed.get("name")) == (scope, name):
            found["typed"], self._typed = self._typed, {}
        return found

    def of_any(self) -> dict[str, Any] | None:
        """The switch in which the key is entered. Ask for it after all others."""
        return {"scopes": gates.KEY_SCOPES, "typed": self._typed} if self._may_write else None


def typed(request: HttpRequest) -> Mapping[str, str]:
    """What a switch was refused with."""
    found: Mapping[str, str] = getattr(request, "agentapp_switch", {})
    return found


def _switch(request: HttpRequest) -> HttpResponse:
    """Do what a switch says, and show the operations page again; what was typed stays when it is refused."""
    if request.method != "POST":
        return redirect("admin:index")
    entered = {name: request.POST.get(name, "") for name in _NAMES}
    principal, scope, name = principal_of(request), entered["scope"], entered["name"]
    try:
        principal.require(gates.WRITE)
        if scope != "queue":
            # A name that is typed wrongly would be paused too, and hold nothing back.
            gates.limit(principal, scope, name)
        done = limits.set_mode(principal, scope, name, entered["action"], reason=entered["reason"])
    except REFUSALS as error:
        status = refuse(request, error)
        request.agentapp_switch = entered  # type: ignore[attr-defined]
        page = admin.site.index(request)
        page.status_code = status
        return page
    messages.success(request, f"{capfirst(cells.key(scope, name))}. {done}")
    return redirect(f"{reverse('admin:index')}?{request.GET.urlencode()}".rstrip("?"))


switch = admin.site.admin_view(_switch)
