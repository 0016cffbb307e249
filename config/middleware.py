"""What every request passes before it gets to its view, in order; the first and simplest parts of it are here."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, HttpResponseBase

from agentapp.api import links
from agentapp.lifecycle import tenant_context

Handler = Callable[[HttpRequest], HttpResponseBase]

ORDER = [
    "config.middleware.tenant_context_ends",
    "config.middleware.any_host_for_probes",
    "django.middleware.security.SecurityMiddleware",
    "config.compression.compress_json",
    "config.middleware.content_security_policy",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "config.middleware.no_nul",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django_otp.middleware.OTPMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "config.session_limits.session_ends",
    "agentapp.admin.signing_in.second_factor_is_set_up",
    "agentapp.admin.base.sees_own_tenants",
    "agentapp.admin.time_zone.times_in_chosen_zone",
    "axes.middleware.AxesMiddleware",
]
PROBES = ("/healthz", "/readyz")
# Prometheus asks each process by its address.
ANY_HOST = (*PROBES, "/metrics")
POLICY = "; ".join(
    (
        "default-src 'self'",
        "img-src 'self' data:",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
NO_NUL = "Take out the character NUL (%00): no text here can hold it.\n"


def tenant_context_ends(get_response: Handler) -> Handler:
    """Nothing is seen of any tenant before it is known who asks, and the next request of a thread begins anew."""

    def handle(request: HttpRequest) -> HttpResponseBase:
        with tenant_context.of_request():
            return get_response(request)

    return handle


def any_host_for_probes(get_response: Handler) -> Handler:
    """Probes and scrapers ask by whatever name or address they know; all other requests stay strict. Stands before
    whatever asks for the host."""

    def handle(request: HttpRequest) -> HttpResponseBase:
        if request.path_info.rstrip("/") in ANY_HOST:
            # Their answers hold no address that is made of the host.
            request.get_host = lambda: "localhost"  # type: ignore[method-assign]
        return get_response(request)

    return handle


def content_security_policy(get_response: Handler) -> Handler:
    """The policy of every page: nothing from elsewhere, nothing inline, no frames. A response that has one keeps it."""

    def handle(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        response.headers.setdefault("Content-Security-Policy", POLICY)
        return response

    return handle


def no_nul(get_response: Handler) -> Handler:
    """Refuse the character NUL in forms and lists for people before anybody looks for it: no text in Postgres holds it.
    Stands before whatever reads what was sent. A cookie that holds it is none of ours, and is not read."""

    def handle(request: HttpRequest) -> HttpResponseBase:
        for name in [name for name, value in request.COOKIES.items() if "\x00" in name + value]:
            del request.COOKIES[name]
        # The API says so itself, field by field.
        if request.path_info.startswith(links.FOR_PEOPLE) and _has_nul(request):
            return HttpResponse(NO_NUL, status=400, content_type="text/plain; charset=utf-8")
        return get_response(request)

    return handle


def _has_nul(request: HttpRequest) -> bool:
    sent = [(request.path_info, []), *request.GET.lists(), *request.POST.lists()]
    return any("\x00" in text for name, values in sent for text in (name, *values))
