"""The search index: it follows what commits, misses nothing, and one bad or locked task keeps no other from it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.db import DatabaseError, connection

from agentapp.dispatch import indexer
from agentapp.lifecycle import database, function_set, search_index
from agentapp.models import SearchCursor, SearchEntry, Workflow
from agentapp.policies import search
from agentapp.services import cancellations, forks, task_filters, workflows
from agentapp.services.principals import Principal
from tests import outage
from tests.harness import drain, run_workflow

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def index(db: None) -> Iterator[None]:
    """The index begins with this test."""
    follow()
    yield
    indexer.LOOKS.aside.clear()
    indexer.ONE_BY_ONE.aside.clear()


def submit(principal: Principal, text: str = "hello", **more: Any) -> Workflow:
    return workflows.submit(principal, kind="probe_fan", input={"text": text}, **more)


def follow() -> None:
    """Look until nothing is left."""
    while indexer.follow() + indexer.go_back():
        pass


def found(principal: Principal, text: str) -> list[Workflow]:
    return list(task_filters.saying(principal, workflows.listing(principal), text))


def execute(statement: str, *parameters: Any) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters or None)
        return cursor.fetchall() if cursor.description else None


def other_session() -> psycopg.Connection:
    return psycopg.connect(**connection.get_connection_params())


@pytest.mark.parametrize(
    "text", ["\U0001f600", "\U0001f600" * 150, "-\U0001f600", '"\u2460 \ufffd"', "\ufe0f", "\u0301"]
)
def test_signs_that_are_no_words_for_postgres_find_nothing_and_cancel_nothing(principal: Principal, text: str) -> None:
    submit(principal, "A parcel")
    follow()

    assert found(principal, text) == []
    assert not cancellations.matching(principal, {"q": text}).exists()
    assert found(principal, f"parcel {text}") == found(principal, "parcel") != []


def test_a_task_is_found_by_its_words_and_labels_and_by_those_of_its_tenant_alone(
    principal: Principal, other_principal: Principal
) -> None:
    task = submit(principal, "A parcel from Österreich", labels={"from": "website"})
    theirs = submit(other_principal, "Another parcel")
    follow()

    for text in ("parcel", "ÖSTERREICH par", "website", '"from website"', "österr*"):
        assert found(principal, text) == [task], text
    assert found(principal, f"tenant/{task.tenant_id}") == []
    assert found(other_principal, "parcel") == [theirs]
    # The word of a tenant is none that somebody can write.
    trap = submit(principal, f"'tenant/{theirs.tenant_id}' parcel tenant/{theirs.tenant_id}")
    follow()
    assert trap in found(principal, "parcel") and found(other_principal, "parcel") == [theirs]


def test_the_result_and_the_errors_are_found_while_they_are_there(principal: Principal) -> None:
    done, ended = submit(principal), submit(principal)
    dead = submit(principal)
    Workflow.objects.filter(pk=dead.pk).update(input={"text": "hello", "fail": "permanent"})
    execute('UPDATE agentapp_job SET payload = payload || \'{"fail": "permanent"}\' WHERE workflow_id = %s', dead.pk)
    follow()
    workflows.cancel(principal, ended.pk, reason="no longer wanted")
    drain()
    follow()

    assert found(principal, "12 hello") == [done]
    assert found(principal, '"no longer wanted"') == [ended]
    assert found(principal, '"this can never work"') == [dead]
    workflows.cancel(principal, dead.pk, reason="given up")
    follow()
    assert found(principal, '"this can never work"') == [] and found(principal, "given up") == [dead]


def test_forks_are_found_too(principal: Principal) -> None:
    task = run_workflow(principal, "probe_fan", {"text": "a parcel"})
    fork = forks.fork(principal, task.pk, from_stage="probe_sum")
    follow()
    assert set(found(principal, "parcel")) == {task, fork}


def test_what_commits_late_is_not_missed(principal: Principal) -> None:
    """Its number is older than those of what was indexed meanwhile: a cursor of numbers would have passed it."""
    late, early = submit(principal, "unchanged"), submit(principal, "unchanged")
    follow()
    with other_session() as session:
        session.execute('UPDATE agentapp_workflow SET result = \'{"text": "overtaken"}\' WHERE id = %s', [late.pk])
        session.execute(
            "INSERT INTO agentapp_history (workflow_id, seq, at, noun, from_state, to_state, actor, reason)"
            " VALUES (%s, 99, now(), 'workflow', 'running', 'completed', 'test', '')",
            [late.pk],
        )
        workflows.cancel(principal, early.pk, reason="overtaking")
        follow()
        assert found(principal, "overtaking") == [early] and found(principal, "overtaken") == []
        session.commit()
    follow()
    assert found(principal, "overtaken") == [late]


def test_pages_follow_each_other_and_a_page_that_was_not_committed_is_read_again(principal: Principal) -> None:
    tasks = [submit(principal, "numbered") for _ in range(7)]
    before = SearchCursor.objects.get()
    assert search_index.changes(limit=3).moved == 3
    connection.set_autocommit(False)
    try:
        assert search_index.changes(limit=3).moved == 3
        connection.rollback()
    finally:
        connection.set_autocommit(True)

    assert [search_index.changes(limit=3).moved for _ in range(4)] == [3, 1, 0, 0]
    assert set(found(principal, "numbered")) == set(tasks)
    assert SearchCursor.objects.get().seen != before.seen


def test_tasks_from_before_the_index_follow_step_by_step(principal: Principal) -> None:
    tasks = [submit(principal, "older") for _ in range(5)]
    SearchEntry.objects.all().delete()
    SearchCursor.objects.all().delete()

    assert search_index.changes(limit=10).moved == 0
    assert [search_index.older(limit=2) for _ in range(4)] == [2, 2, 1, 0]
    assert set(found(principal, "older")) == set(tasks)


def test_an_index_of_another_database_begins_again(principal: Principal) -> None:
    """A dump that was restored elsewhere has a cursor of numbers that are still to come there."""
    task = submit(principal, "restored")
    SearchCursor.objects.update(seen="900000000000:900000000000:", older_than=None)
    follow()
    assert found(principal, "restored") == [task]


def test_the_entry_goes_with_its_task_also_where_the_release_before_deletes_that(principal: Principal) -> None:
    """The release before deletes tasks and does not know the table."""
    task = submit(principal)
    follow()
    for table in ("history", "job", "stage"):
        execute(f"DELETE FROM agentapp_{table} WHERE workflow_id = %s", task.pk)
    execute("DELETE FROM agentapp_workflow WHERE id = %s", task.pk)
    follow()
    assert not SearchEntry.objects.exists()


def test_a_locked_task_keeps_no_other_waiting_and_comes_later(principal: Principal) -> None:
    held, other = submit(principal, "a parcel"), submit(principal, "a parcel")
    with database.waits_for_locks(within_s=0.1):
        with outage.locked(held.pk):
            indexer.follow()
            assert found(principal, "parcel") == [other]
            indexer.follow()
        assert SearchCursor.objects.get().passed_over == [held.pk]
        indexer.ONE_BY_ONE.aside.clear()
        indexer.follow()
    assert set(found(principal, "parcel")) == {held, other}
    assert SearchCursor.objects.get().passed_over == []


def test_a_task_that_cannot_be_indexed_keeps_no_other_waiting_and_comes_later(principal: Principal) -> None:
    bad, other = submit(principal, "a parcel"), submit(principal, "a parcel")
    execute(f"ALTER TABLE agentapp_searchentry ADD CONSTRAINT refused CHECK (workflow_id <> '{bad.pk}') NOT VALID")
    try:
        assert indexer.follow() == 0
        assert found(principal, "parcel") == []
        # As if its time had come.
        indexer.LOOKS.aside[indexer.CHANGES].until_s = time.monotonic()
        indexer.follow()
        assert found(principal, "parcel") == [other]
        assert SearchCursor.objects.get().passed_over == [bad.pk]
        assert "refused" in indexer.ONE_BY_ONE.aside[bad.pk].error
    finally:
        execute("ALTER TABLE agentapp_searchentry DROP CONSTRAINT refused")
    indexer.ONE_BY_ONE.aside.clear()
    indexer.follow()
    assert set(found(principal, "parcel")) == {bad, other}


def test_two_leaders_at_once_index_all(principal: Principal) -> None:
    """One holds the cursor, the other does nothing meanwhile; and many looks at once index all."""
    tasks = [submit(principal, "both") for _ in range(30)]
    with other_session() as session:
        session.execute("SELECT 1 FROM agentapp_searchcursor FOR UPDATE")
        assert search_index.changes(limit=10).moved == 0 and search_index.older(limit=10) == 0
    failed: list[BaseException] = []

    def look() -> None:
        try:
            for _ in range(12):
                search_index.changes(limit=4)
        except DatabaseError as error:
            failed.append(error)
        finally:
            connection.close()

    leaders = [threading.Thread(target=look) for _ in range(2)]
    for leader in leaders:
        leader.start()
    for leader in leaders:
        leader.join()
    follow()
    assert not failed and set(found(principal, "both")) == set(tasks)


def test_the_words_of_the_largest_input_are_cut(principal: Principal) -> None:
    texts = (
        " ".join(f"{n:x}" for n in range(150_000)),
        "".join(chr(0x20000 + n) for n in range(40_000)) * 6,
        "x" * 1_000_000,
        "\\u0001 </a> & 'b' \\ $$ " * 40_000,
    )
    for text in texts:
        Workflow.objects.filter(pk=submit(principal).pk).update(input={"text": f"begins {text} ends"})
    follow()
    assert len(found(principal, "begins")) == len(texts) and found(principal, "ends") == []


@pytest.mark.parametrize(
    "text",
    [
        "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~ a-b c.d e@f.org /g/h <i>j</i> &k; -5 1.5e-3 l_m",
        "“Hello” … \u2013 ¿qué? 10€ ½",
        "退款請求 カタカナ・ひらがな、ー 请", "हिन्दी भाषा।", "Ελλάδα naïve Straße İstanbul", "العربية، نعم؟",
        "2nd 1e5 0x1f 12 abc1",
    ],
)  # fmt: skip
def test_texts_and_queries_are_taken_apart_alike(db: None, text: str) -> None:
    (plain,) = execute(function_set.in_schema("SELECT moves.plain_words(%s)"), text)[0]
    assert plain.split() == search.words(text)
    ((matches,),) = execute(
        function_set.in_schema("SELECT to_tsvector('simple', moves.plain_words(%s)) @@ to_tsquery('simple', %s)"),
        text, search.expression(f"{text[:150]} "),
    )  # fmt: skip
    assert matches


def test_the_search_of_a_tenant_goes_by_the_index(principal: Principal, other_principal: Principal) -> None:
    model = submit(principal)
    columns = [field.column for field in Workflow._meta.fields]
    taken = ", ".join(f'"{name}"' for name in columns if name not in ("id", "input", "tenant_id"))
    execute(
        f"INSERT INTO agentapp_workflow (id, input, tenant_id, {taken})"
        " SELECT gen_random_uuid(), jsonb_build_object('text', 'word' || n %% 700 || ' common ' ||"
        " repeat(md5(n::text) || ' ', 20)),"
        f" CASE WHEN n %% 2 = 0 THEN tenant_id ELSE %s END, {taken}"
        " FROM agentapp_workflow, generate_series(1, 4000) n WHERE id = %s",
        other_principal.tenant_id, model.pk,
    )  # fmt: skip
    SearchCursor.objects.all().delete()
    follow()
    execute("VACUUM (ANALYZE) agentapp_workflow, agentapp_searchentry")

    rows = task_filters.saying(principal, workflows.listing(principal), "word78 common")
    plan = rows[:51].explain()
    assert "Bitmap Index Scan on search_words" in plan and f"tenant/{model.tenant_id}" in plan
    assert {row.tenant_id for row in rows} == {model.tenant_id}
