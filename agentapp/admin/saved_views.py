"""Links above a list to filters that a person keeps under a name."""

from __future__ import annotations

from typing import Any, cast

from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import path, reverse
from django.views.decorators.http import require_POST

from agentapp.admin.base import REFUSALS, refuse
from agentapp.policies import bounds
from agentapp.services import saved_views

# The lists that have views.
PAGES = ("workflow", "approval", "deadletter")


def context(request: HttpRequest, page: str) -> dict[str, Any]:
    """What the list shows: the person's views, and whether there is a filter to keep."""
    if page not in PAGES:
        return {}
    query = request.GET.urlencode()
    views = list(saved_views.listing(cast("User", request.user), page))
    return {"page": page, "views": views, "query": query}


@require_POST
def _change(request: HttpRequest) -> HttpResponse:
    """Keep the filters of a list, or forget a view, and return to the list."""
    user, page, query = cast("User", request.user), request.POST.get("page", ""), request.POST.get("query", "")
    if page not in PAGES:
        raise Http404
    back = reverse(f"admin:agentapp_{page}_changelist")
    if forgotten := request.POST.get("forget"):
        if (view_id := bounds.whole(forgotten, most=bounds.LARGEST_BIGINT)) and saved_views.forget(user, view_id):
            messages.success(request, "The view is deleted.")
        return redirect(back)
    try:
        view = saved_views.keep(user, page, name=request.POST.get("name", ""), query=query)
    except REFUSALS as error:
        refuse(request, error)
        return redirect(f"{back}?{query[: saved_views.LONGEST_QUERY]}")
    messages.success(request, f"Kept as {view.name}.")
    return redirect(f"{back}?{view.query}")


urlpatterns = [path("", admin.site.admin_view(_change), name="saved_views")]
