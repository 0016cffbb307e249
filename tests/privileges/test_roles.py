"""What each role of Postgres may do, and what it is refused: over all tables and all moves. [H4]"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.apps import apps
from django.db import DatabaseError, connection, transaction

from agentapp.delivery import approval_mails as letters
from agentapp.lifecycle import database, function_set, request_counts, tenant_context
from agentapp.lifecycle.roles import decisions
from agentapp.lifecycle.roles.statements import WORDS
from agentapp.models import Tenant, Workflow
from agentapp.services import approval_mails
from agentapp.services.principals import Principal
from agentapp.services.request_counts import RequestCounts
from tests.approvals import asking
from tests.privileges import roles

PROCESSES = sorted(roles.ROLES)
REFUSED = "42501"


@pytest.fixture(autouse=True)
def made(db: None) -> None:
    roles.make()


def tables() -> list[str]:
    ours = ("agentapp.", "django.contrib.", "axes", "django_otp", "django_celery_results")
    models = apps.get_models(include_auto_created=True)
    return sorted(
        {model._meta.db_table for model in models if model.__module__.startswith(ours)} | decisions.OF_THE_OWNER
    )


def outcome(statement: str, parameters: Any = None) -> str:
    """The code of the error that a statement ends with, empty where there is none. It changes nothing."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement, parameters)
            transaction.set_rollback(True)
    except DatabaseError as error:
        return str(getattr(error.__cause__, "sqlstate", ""))
    return ""


def first_column(table: str) -> str:
    with connection.cursor() as cursor:
        return str(connection.introspection.get_table_description(cursor, table)[0].name)


def statements_of(table: str) -> Iterator[tuple[str, str]]:
    """A statement for each letter, which changes no row: who may not is refused before a row is looked for."""
    column = first_column(table)
    yield "S", f'SELECT * FROM "{table}" WHERE false'
    yield "I", f'INSERT INTO "{table}" DEFAULT VALUES'
    yield "U", f'UPDATE "{table}" SET "{column}" = "{column}" WHERE false'
    yield "D", f'DELETE FROM "{table}" WHERE false'


def test_every_table_and_every_move_has_a_decision() -> None:
    """A new one fails here until somebody has decided who may do what with it."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT proname FROM pg_proc WHERE prosecdef AND pronamespace = %s::regnamespace", [function_set.SCHEMA]
        )
        moves = {name for (name,) in cursor.fetchall()}

    assert set(tables()) - decisions.OF_THE_OWNER == set(decisions.WEB)
    assert moves == frozenset().union(*decisions.MOVES.values())
    named = [decisions.DISPATCHER, decisions.WORKER, decisions.READ_ONLY, *decisions.WORKERS.values()]
    assert not {table for each in named for table in each} - set(decisions.WEB)


def test_nobody_but_moves_writes_what_they_own() -> None:
    for process in PROCESSES:
        letters = roles.role(process).tables()
        assert not {table for table in decisions.OWNED_BY_MOVES if set(letters.get(table, "")) & {"I", "U"}}, process


def test_a_role_may_do_with_tables_what_was_decided_and_nothing_else() -> None:
    firsts = {table: first_column(table) for table in tables()}
    cases = [(table, letter, text) for table in tables() for letter, text in statements_of(table)]

    wrong = [
        f"{process}: {WORDS[letter]} {table}: {found or 'done'}"
        for process in PROCESSES for table, letter, found in outcomes(process, cases)
        if (found != REFUSED) != may(process, table, letter, firsts[table]) or found[:2] not in ("", "23", "42")
    ]  # fmt: skip
    assert not wrong


def outcomes(process: str, cases: list[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    # Of all tenants: what a role may do with a table, not with which of its rows.
    with roles.session_of(process), tenant_context.platform_rows():
        return [(table, letter, outcome(text)) for table, letter, text in cases]


def may(process: str, table: str, letter: str, first: str) -> bool:
    """Whether the statement of `statements_of` is one that the role may make. To update a column from itself is to
    read it, too."""
    role = roles.role(process)
    letters = role.tables().get(table, "")
    named = {(word, column) for word, of, columns in role.columns() if of == table for column in columns}
    reads = letter != "U" or "S" in letters or ("SELECT", first) in named
    return (letter in letters or (letter == "U" and ("UPDATE", first) in named)) and reads


def test_a_role_may_call_the_moves_that_were_decided_and_no_function_beside() -> None:
    assert {process: callable_by(process) for process in PROCESSES} == {
        process: roles.role(process).moves() for process in PROCESSES
    }


def callable_by(process: str) -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT proname FROM pg_proc WHERE pronamespace = %(schema)s::regnamespace"
            " AND has_schema_privilege(%(role)s, pronamespace, 'USAGE')"
            " AND has_function_privilege(%(role)s, oid, 'EXECUTE')",
            {"role": roles.role(process).name, "schema": function_set.SCHEMA},
        )
        return {name for (name,) in cursor.fetchall()}


FORBIDDEN = (
    "SELECT password FROM auth_user", "SELECT secret_sha256 FROM agentapp_apikey",
    "SELECT session_data FROM django_session",
    "SELECT * FROM agentapp_databaserole", "INSERT INTO agentapp_databaserole VALUES ('me', '{}')",
    "UPDATE agentapp_job SET state = 'completed'", "UPDATE agentapp_job SET lease_token = NULL",
    "UPDATE agentapp_workflow SET state = 'completed'", "UPDATE agentapp_approval SET state = 'approved'",
    "UPDATE agentapp_effect SET state = 'confirmed'", "UPDATE agentapp_history SET reason = ''",
    "INSERT INTO agentapp_history SELECT * FROM agentapp_history", "DELETE FROM agentapp_effect",
    "TRUNCATE agentapp_history", "DROP TABLE agentapp_history", "ALTER TABLE agentapp_history DISABLE TRIGGER ALL",
    "CREATE TABLE mine (id int)", "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE ROLE friend", "ALTER ROLE CURRENT_USER SUPERUSER", "SET ROLE {owner}", "GRANT {owner} TO CURRENT_USER",
    "SET session_replication_role = replica", "COPY agentapp_tenant TO PROGRAM 'true'",
    "COPY agentapp_tenant FROM '/etc/passwd'",
    "ALTER FUNCTION {moves}.claim RENAME TO claims", "SELECT {moves}.move_job(NULL, NULL, NULL, NULL)",
    "SELECT pg_read_file('/etc/passwd')", "SELECT lo_import('/etc/passwd')",
)  # fmt: skip
# Of those, what a role is there for.
PURPOSES = {
    "web": {FORBIDDEN[0], FORBIDDEN[1], FORBIDDEN[2]},
    "dispatcher": {FORBIDDEN[2], "DELETE FROM agentapp_effect"},
}


def test_the_dispatcher_and_the_worker_that_sends_tell_people_of_what_they_may_decide(
    principal: Principal, tenant: Tenant
) -> None:
    asking.policy(mails_approvers=True, approvers=["finance"])
    asking.person("kim", tenant, "finance")
    asking.ask(principal)
    with roles.session_of("dispatcher"):
        assert approval_mails.tell() == 1
    mail = Workflow.objects.get(kind="approval_mail").input
    with roles.session_of("worker_send"):
        content = letters.compose(tenant_id=tenant.pk, **mail)
    assert content is not None and content["to"] == "kim@sample.test"


def test_web_hands_over_what_it_has_counted_and_the_dispatcher_takes_it_in() -> None:
    counts = RequestCounts()
    counts.add(method="GET", route="/tasks", status=200, seconds=0.1)
    with roles.session_of("web"):
        counts.store()
    with roles.session_of("dispatcher"):
        assert set(request_counts.take(minute=database.now())) == {"route:GET 2xx /tasks"}


def test_what_no_process_needs_is_refused() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user")
        owner = cursor.fetchone()[0]
    cases = [(text, "", text.replace("{owner}", owner).replace("{moves}", function_set.SCHEMA)) for text in FORBIDDEN]

    done = [
        f"{process}: {text}: {found or 'done'}"
        for process in PROCESSES for text, _, found in outcomes(process, cases)
        if found != REFUSED and text not in PURPOSES.get(process, ())
    ]  # fmt: skip
    assert not done


WORDS_ABOUT_PEOPLE = {
    "actor", "after", "before", "error", "error_message", "input", "mode_by", "mode_reason", "output", "paused_reason",
    "reason", "result", "target",
}  # fmt: skip


def test_who_reads_figures_reads_no_words_about_people_and_errors() -> None:
    """They quote payloads and addresses."""
    ours = [model for model in apps.get_models() if model._meta.app_label == "agentapp"]
    named = [(model._meta.db_table, field.column) for model in ours for field in model._meta.concrete_fields]
    cases = [(table, name, f'SELECT "{name}" FROM "{table}"') for table, name in named if name in WORDS_ABOUT_PEOPLE]

    assert len(cases) > len(WORDS_ABOUT_PEOPLE)
    assert not [(table, name) for table, name, found in outcomes("readonly", cases) if found != REFUSED]


def test_roles_may_be_made_again() -> None:
    before = snapshot()
    roles.make()

    assert snapshot() == before


def snapshot() -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT grantee, table_name, privilege_type FROM information_schema.role_table_grants"
            " WHERE grantee LIKE %(ours)s UNION ALL"
            " SELECT grantee, routine_name, privilege_type FROM information_schema.role_routine_grants"
            " WHERE grantee LIKE %(ours)s ORDER BY 1, 2, 3",
            {"ours": f"{roles.PREFIX}%"},
        )
        return list(cursor.fetchall())


def test_sessions_of_a_role_begin_with_its_time_limits_which_somebody_may_change() -> None:
    def kept(process: str) -> dict[str, str]:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT c FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole, unnest(s.setconfig) c"
                " WHERE r.rolname = %s",
                [roles.role(process).name],
            )
            return dict(line.split("=", 1) for (line,) in cursor.fetchall())

    assert kept("web") == {
        "default_transaction_isolation": "read committed", "statement_timeout": "15000ms", "lock_timeout": "10000ms",
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER ROLE {roles.role('worker_send').name} SET lock_timeout TO '5s'")
        cursor.execute(
            f"ALTER ROLE {roles.role('web').name} IN DATABASE {connection.settings_dict['NAME']}"
            " SET statement_timeout TO '20s'"
        )
    roles.make()

    assert kept("web")["statement_timeout"] == "20s"
    assert kept("worker_send")["statement_timeout"] == "60000ms"
