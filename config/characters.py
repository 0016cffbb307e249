"""Forms and lists for people: the character NUL, which no text in Postgres holds, is refused before it is looked for.

The API says so itself, field by field.
"""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, HttpResponseBase

PLACES = ("/admin/",)
SENTENCE = "Take out the character NUL (%00): no text here can hold it.\n"


class NoNul:
    """Middleware. Stands before whatever reads what was sent."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.path_info.startswith(PLACES) and _has_nul(request):
            return HttpResponse(SENTENCE, status=400, content_type="text/plain; charset=utf-8")
        return self.get_response(request)


def _has_nul(request: HttpRequest) -> bool:
    sent = [(request.path_info, []), *request.GET.lists(), *request.POST.lists()]
    return any("\x00" in text for name, values in sent for text in (name, *values))
