"""Sessions end on the server, and nobody signs in by what the database keeps of second factors."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from axes.models import AccessAttempt
from django.conf import settings as django_settings
from django.contrib.auth.models import Permission, User
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django_otp.plugins.otp_static.models import StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice

from agentapp.clock import Clock
from agentapp.models import GateChange, Membership, Tenant
from agentapp.services import factor_secrets
from tests.admin.conftest import MakeStaff
from tests.admin.test_signing_in import (
    HOME,
    LOGIN,
    PAGE,
    PASSWORD,
    as_if_they_had_waited,
    next_code,
    secret_of,
    session_of,
    set_up,
    sign_in,
)
from tests.admin.test_signing_in import ada as ada
from tests.dispatch.test_pruner import look


def rest_of(client: Client) -> timedelta:
    """How long Postgres still knows the session of a client, whatever its cookie says."""
    key = client.cookies[django_settings.SESSION_COOKIE_NAME].value
    return Session.objects.get(pk=key).expire_date - timezone.now()


def pass_on(client: Client, time: timedelta) -> None:
    """Let time pass for a session: all moments in its row are earlier."""
    store = SessionStore(client.cookies[django_settings.SESSION_COOKIE_NAME].value)
    for name in ("ends_at", "_session_expiry"):
        store[name] = (datetime.fromisoformat(store[name]) - time).isoformat()
    store.save()


def test_a_session_ends_on_the_server_when_nobody_uses_it_and_after_some_hours_anyway(ada: User) -> None:
    client = Client()
    client.post(LOGIN, {"username": "ada", "password": PASSWORD, "code": "", "next": HOME})
    cookie = client.cookies[django_settings.SESSION_COOKIE_NAME]
    assert cookie["max-age"] == pytest.approx(2 * 3600, abs=5)

    pass_on(client, timedelta(hours=1, minutes=50))
    # What a page asks by itself keeps nobody signed in.
    assert client.get(HOME, headers={"Sec-Fetch-Dest": "empty"}).status_code == 200
    assert rest_of(client) < timedelta(minutes=11)
    client.get(HOME)
    assert rest_of(client) > timedelta(minutes=119)
    for _ in range(5):
        pass_on(client, timedelta(hours=1, minutes=50))
        assert client.get(HOME).status_code == 200
    # Eleven hours after it began: the last one is not made longer.
    assert timedelta(minutes=50) < rest_of(client) < timedelta(minutes=61)
    pass_on(client, timedelta(hours=1, minutes=1))
    assert client.get(HOME).headers["Location"].startswith(LOGIN)


def test_nobody_is_signed_in_longer_than_the_idle_limit_and_no_row_is_written_at_each_request(ada: User) -> None:
    client = session_of(ada)
    client.get(HOME)
    with CaptureQueriesContext(connection) as made:
        client.get(HOME)
    assert not [query["sql"] for query in made if "django_session" in query["sql"] and "SELECT" not in query["sql"]]

    pass_on(client, timedelta(hours=2, minutes=1))
    assert client.get(HOME).headers["Location"].startswith(LOGIN)


def test_other_sessions_end_with_the_password_and_when_somebody_ends_them(
    ada: User, make_staff: MakeStaff, tenant: Tenant, other_tenant: Tenant
) -> None:
    boss, root, bert = (make_staff(name, None) for name in ("boss", "root", "bert"))
    User.objects.filter(pk=root.pk).update(is_superuser=True)
    Membership.objects.create(user=boss, tenant=tenant, role="administrator", sees_payloads=True)
    others = session_of(bert)
    (membership,) = ada.memberships.all()
    member, account = (
        f"/admin/agentapp/membership/{membership.pk}/change/", f"/admin/auth/user/{ada.pk}/sessions/",
    )  # fmt: skip
    new = {"old_password": PASSWORD, "new_password1": f"{PASSWORD}-2", "new_password2": f"{PASSWORD}-2"}
    for who, page, form in (
        (ada, "/admin/password_change/", new), (ada, PAGE, {"action": "sessions"}),
        (boss, member, {"action": "sessions"}), (root, account, {}),
    ):  # fmt: skip
        ada.refresh_from_db()
        elsewhere, asking = session_of(ada), session_of(who)
        assert elsewhere.get(PAGE).status_code == 200
        assert asking.post(page, form).status_code == 302, page
        assert elsewhere.get(PAGE).status_code == 302, page
        assert asking.get(PAGE).status_code == others.get(PAGE).status_code == 200, page
    assert GateChange.objects.filter(action="sessions ended", target__contains=f"{ada.pk} in sample").count() == 3
    assert "End all sessions" in session_of(root).get(f"/admin/auth/user/{ada.pk}/change/").content.decode()
    # One's own: the row that would be made longer is gone.
    asking = session_of(root)
    asking.get(HOME)
    pass_on(asking, timedelta(minutes=20))
    assert asking.post(f"/admin/auth/user/{root.pk}/sessions/").status_code == 302
    assert asking.get(HOME).headers["Location"].startswith(LOGIN)
    # Whose account is another tenant's too, or nobody's business.
    Membership.objects.create(user=ada, tenant=other_tenant, role="viewer")
    elsewhere = session_of(ada)
    assert session_of(boss).post(member, {"action": "sessions"}).status_code == 403
    assert session_of(boss).post(account).status_code == session_of(root).get(account).status_code == 403
    bert.user_permissions.add(Permission.objects.get(codename="change_user"))
    assert session_of(bert).post(account).status_code == 403
    assert elsewhere.get(PAGE).status_code == 200


def test_sessions_and_attempts_that_are_over_are_deleted(db: None, clock: Clock) -> None:
    moment = clock.now()
    for days in (-1, 1):
        Session.objects.create(session_key=f"s{days}", expire_date=moment - timedelta(days))
    for days in (6, 8):
        AccessAttempt.objects.create(username=f"u{days}", failures_since_start=1)
        AccessAttempt.objects.filter(username=f"u{days}").update(attempt_time=moment - timedelta(days))

    assert look() == 2
    assert (Session.objects.get().pk, AccessAttempt.objects.get().username) == ("s-1", "u6")


def test_the_database_alone_lets_nobody_in_and_a_new_key_of_the_service_all(ada: User, settings) -> None:
    device, paper = set_up(ada)
    secret, kept = secret_of(device).hex(), TOTPDevice.objects.get().key
    assert secret not in kept and not StaticToken.objects.filter(token__in=paper).exists()
    bert = User.objects.create(username="bert")
    assert factor_secrets.opened(kept, user_id=ada.pk) == secret
    # A row that somebody moves to another person is of no use there.
    assert factor_secrets.opened(kept, user_id=bert.pk) is None

    # What a release before has stored goes on, and is sealed by its next use.
    TOTPDevice.objects.update(key=secret)
    StaticToken.objects.filter(token=factor_secrets.tokens(paper[1])[0]).update(token=paper[1])
    assert sign_in(code=paper[1]).status_code == sign_in(code=next_code(device)).status_code == 302
    assert TOTPDevice.objects.get().key == kept

    before, settings.SECRET_KEY = settings.SECRET_KEY, "the-next-one"
    TOTPDevice.objects.update(last_t=0)
    assert sign_in(code=next_code(device)).status_code == sign_in(code=paper[2]).status_code == 200
    as_if_they_had_waited()
    settings.SECRET_KEY_FALLBACKS = [before]
    assert sign_in(code=next_code(device)).status_code == sign_in(code=paper[2]).status_code == 302
    settings.SECRET_KEY_FALLBACKS = []
    assert TOTPDevice.objects.get().key != kept and secret_of(TOTPDevice.objects.get()).hex() == secret
