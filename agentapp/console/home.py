"""The page at `/`: what is where."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.csrf import csrf_exempt

from agentapp.api import problems

METHODS = ("GET", "HEAD", "OPTIONS")


@csrf_exempt
def home(request: HttpRequest) -> HttpResponse:
    """Show the addresses of this installation; it holds no secret, so everybody may read it."""
    if request.method == "OPTIONS":
        return HttpResponse(status=204, headers={"Allow": ", ".join(METHODS)})
    if request.method not in METHODS:
        return problems.method_not_allowed(METHODS).response(instance=request.path)
    return render(
        request,
        "home.html",
        {
            "base_url": request.build_absolute_uri(reverse("home")).rstrip("/"),
            "flower_url": settings.AGENTAPP_FLOWER_URL,
            "offline": settings.AGENTAPP_MODEL == "offline",
            "mail_is_sent": settings.AGENTAPP_MAIL_IS_SENT,
        },
    )
