"""When row-level security begins to bind the role of the web process, and when it ends. [H4]"""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.checks import CheckMessage
from django.core.management import call_command
from django.db import DatabaseError, connection

from agentapp import checks
from agentapp.lifecycle import function_set
from agentapp.lifecycle.roles import looks
from agentapp.models import Tenant
from tests.privileges import roles

pytestmark = pytest.mark.django_db
WEB, GROUP = roles.role("web").name, roles.role("web").group


def apply(*options: str) -> str:
    said = StringIO()
    call_command("database_roles", "--apply", "--prefix", roles.PREFIX, *options, stdout=said)
    return said.getvalue()


def is_bound() -> bool:
    assert Tenant.objects.exists()
    with roles.session_of("web"):
        return not Tenant.objects.exists()


def execute(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def warned() -> list[str]:
    found: list[CheckMessage] = checks.check_roles(None, databases=["default"])
    return sorted(str(message.id) for message in found)


def test_a_new_role_is_bound_and_stays_what_somebody_has_said(tenant: Tenant) -> None:
    assert f"Bound by row-level security: {WEB}." in apply()
    assert is_bound() and warned() == []
    assert "Row-level" not in apply() and is_bound()

    apply("--row-security", "off")
    assert not is_bound() and warned() == ["agentapp.W003"]
    assert "--row-security on" in apply() and not is_bound()

    apply("--row-security", "on")
    assert is_bound()
    # By a person in psql, before a release that knows no context is started.
    execute(f"REVOKE {GROUP} FROM {WEB}")
    assert not is_bound()
    assert "--row-security on" in apply() and not is_bound()


def test_a_new_role_is_bound_though_the_first_run_was_killed(tenant: Tenant) -> None:
    """The roles were there before the policies: the next run does not make them."""
    execute(
        "CREATE FUNCTION stopped() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'stopped'; END $$;"
        "CREATE EVENT TRIGGER stops ON ddl_command_start WHEN TAG IN ('CREATE POLICY') EXECUTE FUNCTION stopped()"
    )
    with pytest.raises(DatabaseError, match="stopped"):
        apply()
    execute("DROP EVENT TRIGGER stops")
    assert not is_bound()

    assert "Row-level" not in apply()
    assert is_bound()


def test_a_role_from_before_is_bound_when_somebody_says_so(tenant: Tenant) -> None:
    """A web process of the release before may still run: it would see nothing."""
    roles.make()
    assert "--row-security on" in apply()

    assert not is_bound()


def test_a_release_before_that_is_run_again_lets_its_own_processes_work(tenant: Tenant) -> None:
    """It says of each role that it inherits nothing, and knows no group."""
    apply()
    execute(f"ALTER ROLE {WEB} NOINHERIT")
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version_num")
        is_told_by_the_grant = int(cursor.fetchone()[0]) >= 160_000

    assert is_bound() == is_told_by_the_grant
    apply()
    assert is_bound() == is_told_by_the_grant


def test_roles_that_wait_for_this_release_are_named(tenant: Tenant) -> None:
    apply()
    with roles.session_of("web"):
        assert looks.own_problems("web") == []
    execute(f"REVOKE USAGE ON SCHEMA {function_set.SCHEMA} FROM {WEB}")

    assert warned() == ["agentapp.W002"]
    with roles.session_of("web"):
        (sentence,) = looks.own_problems("web")
    assert sentence.startswith(f"{WEB} may not call") and "database_roles --apply" in sentence


def test_the_owner_and_a_database_without_roles_lack_nothing(db: None) -> None:
    assert warned() == [] == looks.own_problems("web")


@pytest.mark.parametrize("options", [(), ("--row-security", "on")])
def test_what_is_printed_is_what_is_made(tenant: Tenant, options: tuple[str, ...]) -> None:
    said = StringIO()
    call_command("database_roles", "--prefix", roles.PREFIX, *options, stdout=said)

    execute(said.getvalue())

    assert is_bound()
