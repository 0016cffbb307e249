"""The page at `/`: what is where."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """Show the addresses of this installation; it holds no secret, so everybody may read it."""
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
