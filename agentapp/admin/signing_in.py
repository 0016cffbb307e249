"""How people sign in: a password, and a code where they have set up a second factor. Wrong passwords pause it. [G6]"""

from __future__ import annotations

import ipaddress
import re
from base64 import b32encode
from collections.abc import Callable
from datetime import timedelta
from typing import Any, cast

import segno
from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth import logout
from django.contrib.auth.models import User
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django_otp import login as verified

from agentapp.admin.base import REFUSALS, refuse
from agentapp.api import links
from agentapp.policies.counting import count
from agentapp.services import second_factors, sessions

# What may be opened without the code of a second factor that one has, and what without one although it is required.
_SIGN_IN = ("admin:logout", "admin:login")
_OPEN = ("second_factor", "admin:password_change", "admin:password_change_done")
# All who connect from nowhere, as by a socket of Unix, are one.
_NOWHERE = "::"
_WITH_PORT = re.compile(r"\[(?P<six>[^]]*)\](:[0-9]+)?|(?P<four>[^:]*):[0-9]+")

WRONG_CODE = "Enter the code that your app shows now, or one of your codes on paper. Each is good once."


class SignInForm(AdminAuthenticationForm):
    """Name and password, and the code of those who have a second factor."""

    code = forms.CharField(
        required=False, max_length=20,
        widget=forms.TextInput(attrs={"autocomplete": "one-time-code", "inputmode": "text"}),
    )  # fmt: skip

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        person = self.get_user()
        if second_factors.has_one(person):
            device = second_factors.matched(person, cleaned.get("code", ""))
            if device is None:
                raise ValidationError({"code": WRONG_CODE})
            # By this django-otp knows that the session is of somebody who has shown it.
            person.otp_device = device  # type: ignore[attr-defined]
        return cleaned


def address_of(request: HttpRequest) -> str:
    """The address of who signs in. Of X-Forwarded-For only what our own proxies have added counts: the rest is written
    by anybody."""
    proxies: int = settings.AGENTAPP_PROXIES
    hops = [hop.strip() for hop in request.headers.get("X-Forwarded-For", "").split(",")]
    if proxies and len(hops) >= proxies and (address := _address(hops[-proxies])):
        return address
    return _address(str(request.META.get("REMOTE_ADDR", ""))) or _NOWHERE


def _address(text: str) -> str:
    """The address in a text, in which some proxies write a port too; empty where Postgres would know none."""
    if found := _WITH_PORT.fullmatch(text):
        text = found["six"] or found["four"] or ""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return ""
    if address.version == 6 and address.ipv4_mapped is None:
        # A person has all addresses of IPv6 that begin alike.
        return str(ipaddress.ip_network((address, 64), strict=False).network_address)
    return str(getattr(address, "ipv4_mapped", None) or address)


def paused(request: HttpRequest, credentials: dict[str, Any] | None = None, *args: Any, **more: Any) -> HttpResponse:
    """What is answered after too many wrong passwords, to right ones as well."""
    pause: timedelta = settings.AXES_COOLOFF_TIME
    context = admin.site.each_context(request) | {
        "title": "Sign in",
        "minutes": max(1, round(pause.total_seconds() / 60)),
    }
    response = TemplateResponse(request, "admin/paused.html", context, status=429)
    response.headers["Retry-After"] = str(round(pause.total_seconds()))
    return response.render()


def second_factor_page(request: HttpRequest) -> HttpResponse:
    """The own second factor: set it up, confirm it, take it away. And the own sessions, which end here."""
    person = cast("User", request.user)
    shown: dict[str, Any] = {}
    status = 200
    if request.method == "POST":
        code = request.POST.get("code", "")
        if request.POST.get("action") == "sessions":
            ended = sessions.end_own(person, but=request.session.session_key)
            messages.success(request, f"{count(ended, 'other session')} ended.")
            return redirect("second_factor")
        try:
            if request.POST.get("action") == "remove":
                second_factors.remove(person, code)
                messages.success(request, "You sign in by your password alone now.")
                return redirect("second_factor")
            device, shown["codes"] = second_factors.confirm(person, code)
            verified(request, device)
        except REFUSALS as error:
            status = refuse(request, error)
    if not shown and not second_factors.has_one(person):
        device = second_factors.begun(person)
        shown = {
            "picture": segno.make(device.config_url, error="m").svg_data_uri(scale=5, light="white"),
            "key": b32encode(device.bin_key).decode(),
        }
    context = admin.site.each_context(request) | {"title": "Second factor"} | shown
    # The admin lets nobody keep its pages, of which this one shows secrets.
    return TemplateResponse(request, "agentapp/second_factor.html", context, status=status)


def second_factor_is_set_up(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """Middleware: who has a second factor signs in again where the session has shown no code, because it began before
    or by a release that asks for none. Where one is required, people without it see the page that sets it up alone."""

    def handle(request: HttpRequest) -> HttpResponseBase:
        if request.path_info.startswith(links.FOR_PEOPLE) and request.path not in map(reverse, _SIGN_IN):
            person: Any = request.user
            if person.is_authenticated and not person.is_verified():
                if second_factors.has_one(person):
                    logout(request)
                    return redirect_to_login(request.get_full_path(), reverse("admin:login"))
                if settings.AGENTAPP_SECOND_FACTOR_REQUIRED and request.path not in map(reverse, _OPEN):
                    return redirect("second_factor")
        return get_response(request)

    return handle
