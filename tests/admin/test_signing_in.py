"""Signing in: wrong passwords pause it, for one name from one address; a second factor takes a code as well."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from axes.models import AccessAttempt
from django.contrib.auth.models import User
from django.db.models import F
from django.test import Client
from django_otp.oath import totp
from django_otp.plugins.otp_static.models import StaticDevice, StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice
from pytest_django import Settings

from agentapp.admin.signing_in import WRONG_CODE
from agentapp.models import GateChange, Membership, Tenant
from agentapp.services import factor_secrets
from tests.admin.conftest import MakeStaff

PASSWORD = "a-long-one-of-ada"
LOGIN, PAGE, HOME = "/admin/login/", "/admin/second-factor/", "/admin/"
ELSEWHERE = "203.0.113.9"


@pytest.fixture(autouse=True)
def unhurried(settings: Settings) -> None:
    """After a wrong code a device takes none for a second: a busy machine needs longer than that for the next one."""
    settings.OTP_TOTP_THROTTLE_FACTOR = settings.OTP_STATIC_THROTTLE_FACTOR = 100


@pytest.fixture
def ada(make_staff: MakeStaff, tenant: Tenant) -> User:
    person = make_staff("ada", tenant)
    person.set_password(PASSWORD)
    person.save()
    return person


def sign_in(password: str = PASSWORD, *, name: str = "ada", code: str = "", address: str = "127.0.0.1") -> Any:
    """Send the form from an address; a redirect is a session."""
    form = {"username": name, "password": password, "code": code, "next": HOME}
    return Client(REMOTE_ADDR=address).post(LOGIN, form)


def wrong(times: int, **more: str) -> list[int]:
    return [sign_in("not-the-one", **more).status_code for _ in range(times)]


def test_after_five_wrong_passwords_the_right_one_waits_too(ada: User) -> None:
    assert wrong(4) == [200, 200, 200, 200]
    assert wrong(1) == [429]

    paused = sign_in()
    assert paused.status_code == 429
    assert paused.headers["Retry-After"] == "900"
    assert "15 minutes" in paused.content.decode()


def test_nobody_locks_a_colleague_out_from_elsewhere(ada: User, make_staff: MakeStaff, tenant: Tenant) -> None:
    bert = make_staff("bert", tenant)
    bert.set_password(PASSWORD)
    bert.save()
    wrong(6, address=ELSEWHERE)

    assert sign_in(address=ELSEWHERE).status_code == 429
    assert sign_in().status_code == 302
    assert sign_in(name="bert", address=ELSEWHERE).status_code == 302


def test_the_pause_ends(ada: User) -> None:
    wrong(6)
    AccessAttempt.objects.update(attempt_time=F("attempt_time") - timedelta(minutes=15, seconds=1))

    assert sign_in().status_code == 302


def test_a_right_password_begins_the_count_anew(ada: User) -> None:
    for _ in range(3):
        wrong(4)
        assert sign_in().status_code == 302


def test_behind_a_proxy_the_address_is_that_of_the_person(ada: User, settings) -> None:
    settings.AGENTAPP_PROXIES = 1
    form = {"username": "ada", "password": "wrong", "code": "", "next": HOME}

    def ask(address: str, password: str = "wrong") -> int:
        # What a client writes there itself stands before what the proxy adds.
        forwarded = f"198.51.100.1, {address}"
        return Client(HTTP_X_FORWARDED_FOR=forwarded).post(LOGIN, form | {"password": password}).status_code

    for _ in range(6):
        ask(ELSEWHERE)
    assert ask(ELSEWHERE, PASSWORD) == 429
    assert ask("203.0.113.10", PASSWORD) == 302


def session_of(person: User) -> Client:
    client = Client()
    client.force_login(person)
    return client


def secret_of(device: TOTPDevice) -> bytes:
    return bytes.fromhex(factor_secrets.opened(device.key, user_id=device.user_id) or "")


def next_code(device: TOTPDevice) -> str:
    """The code after the present one, which is good already: the present one may have been used."""
    device.refresh_from_db()
    return f"{totp(secret_of(device), drift=1):06d}"


def set_up(person: User) -> tuple[TOTPDevice, list[str]]:
    """Go through the page; return the device and the codes on paper."""
    client = session_of(person)
    client.get(PAGE)
    device = TOTPDevice.objects.get(user=person)
    shown = client.post(PAGE, {"action": "confirm", "code": f"{totp(secret_of(device)):06d}"}).content.decode()
    return device, re.findall(r'<code class="secret">(\w{8})</code>', shown)


def as_if_they_had_waited() -> None:
    """After a wrong code each device takes none for a while: a second, then twice as long each time."""
    for kind in (TOTPDevice, StaticDevice):
        kind.objects.update(throttling_failure_timestamp=F("throttling_failure_timestamp") - timedelta(hours=1))


def test_a_second_factor_is_set_up_by_the_code_of_an_app(ada: User, tenant: Tenant) -> None:
    client = session_of(ada)
    page = client.get(PAGE)
    device = TOTPDevice.objects.get(user=ada)
    assert 'src="data:image/svg+xml' in page.content.decode()
    assert "no-store" in page.headers["Cache-Control"]
    assert client.post(PAGE, {"action": "confirm", "code": "000000"}).status_code == 422
    assert sign_in().status_code == 302, "not confirmed: it takes no code yet"
    # Another look shows the same secret: the app may have it already.
    client.get(PAGE)
    assert TOTPDevice.objects.get(user=ada).key == device.key

    as_if_they_had_waited()
    codes = re.findall(
        r'<code class="secret">(\w{8})</code>',
        client.post(PAGE, {"action": "confirm", "code": f"{totp(secret_of(device)):06d}"}).content.decode(),
    )
    assert len(codes) == StaticToken.objects.count() == 10
    note = GateChange.objects.get(target=f"person {ada.pk} in {tenant.slug}")
    assert note.action == "second factor added"
    assert device.key not in f"{note.before}{note.after}{note.reason}"


def test_then_signing_in_takes_a_code_and_each_is_good_once(ada: User) -> None:
    device, paper = set_up(ada)

    assert WRONG_CODE in sign_in().content.decode()
    code = next_code(device)
    assert sign_in(code=f"{code[:3]} {code[3:]}").status_code == 302
    assert sign_in(code=code).status_code == 200
    as_if_they_had_waited()
    assert sign_in(code=paper[0].upper()).status_code == 302
    assert sign_in(code=paper[0]).status_code == 200


def test_after_wrong_codes_the_right_one_waits(ada: User) -> None:
    device, _ = set_up(ada)
    for _ in range(8):
        sign_in(code="000000")

    assert sign_in(code=next_code(device)).status_code == 200
    as_if_they_had_waited()
    assert sign_in(code=next_code(device)).status_code == 302


def test_it_is_taken_away_by_a_code(ada: User) -> None:
    device, paper = set_up(ada)
    client = Client()
    client.post(LOGIN, {"username": "ada", "password": PASSWORD, "code": paper[1], "next": HOME})

    assert client.post(PAGE, {"action": "confirm", "code": next_code(device)}).status_code == 409
    for code in ("nonsense", "000000", "9" * 5_000, ""):
        assert client.post(PAGE, {"action": "remove", "code": code}).status_code == 422
    # Nobody finds it out by trying: after a wrong one the right one waits.
    for code in (paper[0], next_code(device)):
        assert client.post(PAGE, {"action": "remove", "code": code}).status_code == 422
    assert TOTPDevice.objects.filter(user=ada).exists()
    as_if_they_had_waited()
    assert client.post(PAGE, {"action": "remove", "code": paper[0]}).status_code == 302
    assert not TOTPDevice.objects.exists() and not StaticToken.objects.exists()
    assert sign_in().status_code == 302


def test_who_has_lost_it_asks_an_administrator(ada: User, make_staff: MakeStaff, tenant: Tenant) -> None:
    set_up(ada)
    (membership,) = ada.memberships.all()
    boss = make_staff("boss", None)
    Membership.objects.create(user=boss, tenant=tenant, role="administrator", sees_payloads=True)
    colleague = make_staff("colleague", None)
    Membership.objects.create(user=colleague, tenant=tenant, role="operator", sees_payloads=True)
    page = f"/admin/agentapp/membership/{membership.pk}/change/"

    assert session_of(colleague).post(page, {"action": "forget"}).status_code in (302, 403, 404)
    assert TOTPDevice.objects.exists()
    assert session_of(boss).post(page, {"action": "forget"}).status_code == 302
    assert not TOTPDevice.objects.exists()
    assert GateChange.objects.latest("at").action == "second factor ended"


def test_where_it_is_required_nothing_else_is_shown_before(ada: User, settings) -> None:
    settings.AGENTAPP_SECOND_FACTOR_REQUIRED = True
    client = session_of(ada)
    for path in (HOME, "/console/", "/admin/agentapp/approval/"):
        assert client.get(path).headers["Location"] == PAGE
    assert client.get(PAGE).status_code == 200

    device = TOTPDevice.objects.get(user=ada)
    client.post(PAGE, {"action": "confirm", "code": f"{totp(secret_of(device)):06d}"})
    assert client.get("/console/").status_code == 200
    # A session that began before shows no code.
    assert session_of(ada).get("/console/").headers["Location"] == f"{LOGIN}?next=/console/"


def test_a_session_that_began_before_ends_with_the_set_up(ada: User) -> None:
    before = session_of(ada)
    assert before.get("/console/").status_code == 200
    set_up(ada)

    for path in ("/console/", HOME, PAGE, "/admin/password_change/", "/console/rows/"):
        assert before.get(path).headers["Location"].startswith(f"{LOGIN}?next="), path
        before.force_login(ada)
    assert before.post(PAGE, {"action": "remove", "code": "000000"}).status_code == 302
    assert TOTPDevice.objects.filter(throttling_failure_count=0).count() == 1


def test_codes_of_the_app_that_were_mistyped_do_not_make_the_paper_wait(ada: User) -> None:
    _, paper = set_up(ada)
    for _ in range(3):
        sign_in(code="000000")
        as_if_they_had_waited()
    sign_in(code="00000")

    assert StaticDevice.objects.get().throttling_failure_count == 0
    assert sign_in(code=paper[0]).status_code == 302


def test_two_tabs_that_begin_at_once_show_one_secret(ada: User) -> None:
    first, _ = (TOTPDevice.objects.create(user=ada, name="app", confirmed=False) for _ in range(2))
    client = session_of(ada)

    assert client.get(PAGE).status_code == 200
    assert client.post(PAGE, {"action": "confirm", "code": f"{totp(secret_of(first)):06d}"}).status_code == 200


def test_no_code_is_kept_and_no_page_shows_the_secrets_of_others(ada: User, operator: Client) -> None:
    _, paper = set_up(ada)
    sign_in("not-the-one", code=paper[0])

    kept = AccessAttempt.objects.get()
    assert paper[0] not in f"{kept.post_data}{kept.get_data}" and "code=***" in kept.post_data
    for kind in ("otp_totp/totpdevice", "otp_static/staticdevice", "axes/accessattempt"):
        assert operator.get(f"/admin/{kind}/").status_code == 404


@pytest.mark.parametrize(
    ("written", "address"),
    [
        ("203.0.113.9:4711", ELSEWHERE),
        ("[2001:db8::1]:4711", "2001:db8::"),
        ("2001:DB8:0:0:7::1", "2001:db8::"),
        ("::ffff:203.0.113.9", ELSEWHERE),
        ("fe80::1%eth0", "fe80::"),
        ("unknown", "127.0.0.1"),
        ("", "127.0.0.1"),
    ],
)
def test_whatever_a_proxy_writes_wrong_passwords_are_counted(ada: User, settings, written: str, address: str) -> None:
    settings.AGENTAPP_PROXIES = 1
    form = {"username": "ada", "password": "wrong", "code": "", "next": HOME}

    assert Client(HTTP_X_FORWARDED_FOR=f"198.51.100.1, {written}").post(LOGIN, form).status_code == 200
    assert AccessAttempt.objects.get().ip_address == address


def test_who_connects_from_nowhere_is_paused_too(ada: User) -> None:
    assert wrong(5, address="")[-1] == 429
