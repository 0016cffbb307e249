"""In which time zone the admin shows moments: each browser chooses, and UTC is what nobody chose. [G5]"""

from __future__ import annotations

import zoneinfo
from collections.abc import Callable
from functools import cache
from zoneinfo import ZoneInfo

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils import timezone

from agentapp.admin.base import REFUSALS, refuse
from agentapp.api import links
from agentapp.errors import InvalidInput

COOKIE = "agentapp_time_zone"
_KEPT_S = 365 * 86_400


@cache
def names() -> frozenset[str]:
    """The time zones that there are, without those that are files for something else."""
    return frozenset(name for name in zoneinfo.available_timezones() if name not in ("localtime", "Factory"))


def time_zone_page(request: HttpRequest) -> HttpResponse:
    """Choose the time zone of this browser."""
    status, typed = 200, None
    if request.method == "POST":
        typed = request.POST.get("zone", "").strip()
        try:
            if typed not in names():
                raise InvalidInput(f"There is no time zone {typed[:80]!r}. Choose one of the list, as Europe/Berlin.")
            messages.success(request, f"Times are shown in {typed} in this browser.")
            response = redirect("time_zone")
            response.set_cookie(
                COOKIE, typed, max_age=_KEPT_S, secure=request.is_secure(), httponly=True, samesite="Lax",
                path=links.to("/"),
            )  # fmt: skip
            return response
        except REFUSALS as error:
            status = refuse(request, error)
    context = admin.site.each_context(request) | {
        "title": "Time zone", "zones": sorted(names()), "zone": typed or timezone.get_current_timezone_name(),
    }  # fmt: skip
    return TemplateResponse(request, "agentapp/time_zone.html", context, status=status)


def times_in_chosen_zone(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """Middleware: the admin's pages show moments in the zone of the browser's cookie. The API's are always UTC."""

    def handle(request: HttpRequest) -> HttpResponseBase:
        chosen = request.COOKIES.get(COOKIE, "")
        if not request.path_info.startswith(links.FOR_PEOPLE) or chosen not in names():
            return get_response(request)
        with timezone.override(ZoneInfo(chosen)):
            return get_response(request)

    return handle
