"""GET /metrics: Prometheus' text format. Its names are those of agentapp.observability.metrics. [H1]"""

from __future__ import annotations

import hmac
from typing import Any

from django.conf import settings
from django.http import HttpResponse
from rest_framework.request import Request

from agentapp.api.endpoint import BearerKey, Endpoint, JsonOnly
from agentapp.services import gates, metrics
from agentapp.services.principals import Principal

_SCRAPER = Principal(frozenset({gates.READ}), frozenset())


class ScrapeToken(BearerKey):
    """The token of AGENTAPP_METRICS_TOKEN, which is known while Postgres is away too, or an API key."""

    def authenticate(self, request: Request) -> tuple[None, Principal]:
        token: str = settings.AGENTAPP_METRICS_TOKEN
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        if token and scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), token.encode()):
            return None, _SCRAPER
        return super().authenticate(request)


class AnyText(JsonOnly):
    """Scrapers ask for what they can read; the text is all that there is."""

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        return renderers[0], "text/plain"


class Metrics(Endpoint):
    """GET /metrics, for the process or person that may read limits."""

    scopes = {"GET": gates.READ}
    authentication_classes = (ScrapeToken,)
    content_negotiation_class = AnyText
    ignores_parameters = True

    def get(self, request: Request) -> HttpResponse:
        # Only here: a web process that nobody scrapes need not load the library.
        from agentapp.api import exposition

        return HttpResponse(exposition.text(metrics.shared.get()), content_type=exposition.CONTENT_TYPE)
