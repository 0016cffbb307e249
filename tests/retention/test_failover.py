"""The primary dies and a replica takes over: what it lacks is not sent twice; of a synchronous one nothing is lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from django.db import connection
from pytest_django import Settings

from agentapp.clock import Clock
from agentapp.delivery import mail
from agentapp.errors import Unavailable
from agentapp.lifecycle import database, replica
from agentapp.models import Restore, Workflow
from agentapp.services.principals import Principal
from tests import replicas
from tests.acceptance.waiting import until
from tests.harness import be_a_worker, drain, make_due
from tests.replicas import Server
from tests.retention.restore_kinds import REFUSED, SENT
from tests.retention.test_restore import OUTBOX, UNASKED, leads, mails, run_all, submit

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def made(principal: Principal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Server]]:
    """Three servers, of which the first runs and has what the database of the test has; Django uses them."""
    usual, parameters = dict(connection.settings_dict), connection.get_connection_params()
    known = {key: parameters[key] for key in ("dbname", "user", "password", "host", "port") if parameters.get(key)}
    SENT.clear()
    REFUSED.clear()
    with replicas.servers(3) as found:
        found[0].start()
        replicas.fill(found[0], psycopg.conninfo.make_conninfo(**known), by_way_of=tmp_path)
        # The server is another than that of the dump.
        found[0].ask("DELETE FROM agentapp_restore")
        connection.close()
        try:
            replicas.let_django_use(connection.settings_dict, found)
            options = {**connection.settings_dict["OPTIONS"], "target_session_attrs": "any"}
            second = {**connection.settings_dict, "HOST": found[1].socket, "OPTIONS": options}
            monkeypatch.setattr(replica, "LOOK_EVERY_S", 0.0)
            with replicas.read_from(second):
                yield found
        finally:
            connection.close()
            connection.settings_dict.update(usual)


def answers() -> bool:
    try:
        return bool(database.statement("SELECT NOT pg_is_in_recovery()", []))
    except Unavailable:
        return False


def is_replica() -> bool:
    return bool(database.statement("SELECT pg_is_in_recovery()", []))


def states() -> dict[str, str]:
    return dict(Workflow.objects.values_list("input__text", "state"))


def test_after_a_failover_nothing_is_sent_twice_and_nothing_is_lost(
    principal: Principal, clock: Clock, made: list[Server], tmp_path: Path, settings: Settings
) -> None:
    first, second, third = made
    outbox = tmp_path / "mails" / "outbox"
    outbox.parent.mkdir()
    settings.EMAIL_BACKEND, settings.EMAIL_FILE_PATH = "agentapp.delivery.outbox.EmailBackend", str(outbox)
    mail.can_be_asked()  # and is ready from here on
    second.follow(first)
    assert leads(), "it is known which database this is"
    tasks = submit(principal, OUTBOX, "m-sent", "m-later", "m-never")
    tasks += submit(principal, UNASKED, "c-sent", "c-later", "c-refused", "c-never")
    be_a_worker()
    REFUSED.append("c-refused")
    for task in (tasks[0], tasks[3], tasks[5]):
        drain(task)
    until(lambda: second.has_all_of(first), "the replica has all of it")
    assert [replica.read(is_replica), is_replica()] == [True, False], "a list may come from the replica"

    # What an asynchronous replica lacks.
    second.hear_no_more()
    for task in (tasks[1], tasks[4]):
        drain(task)
    make_due(clock, 60)
    assert leads() and not replica.read(is_replica), "it is a minute late"
    drain(tasks[5])
    submit(principal, UNASKED, "c-lost")
    assert {"c-sent", "c-later", "c-refused"} == set(SENT) and set(mails(outbox)) == {"m-sent", "m-later"}
    first.kill()
    assert not answers()
    second.promote()
    until(answers, "the one that takes writes is found")

    # Until a dispatcher has looked, nothing is sent.
    clock.advance(60)
    run_all(clock)
    assert set(mails(outbox)) == {"m-sent", "m-later"} and set(SENT) == {"c-sent", "c-later", "c-refused"}
    assert leads()
    clock.advance(60)
    run_all(clock)

    assert mails(outbox) == Counter({"m-sent": 1, "m-later": 1, "m-never": 1})
    assert Counter(SENT) == Counter({"c-sent": 1, "c-later": 1, "c-refused": 1})
    in_doubt = {"c-later", "c-refused", "c-never"}
    assert states() == {
        key: "needs_attention" if key in in_doubt else "completed"
        for key in ("m-sent", "m-later", "m-never", "c-sent", *in_doubt)
    }, "nobody can tell of some whether they were sent; and with an asynchronous replica a 202 may be lost"

    # With a synchronous one it is not, and nothing is in doubt.
    third.follow(second)
    second.configure("synchronous_standby_names", "*")
    until(
        lambda: second.ask("SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'"),
        "what is confirmed has reached the replica",
    )
    settings.AGENTAPP_REPLICA_LACKS_NOTHING = True
    sent, *_ = submit(principal, UNASKED, "s-sent", "s-never")
    drain(sent)
    second.kill()
    third.promote()
    until(answers, "the one that takes writes is found")
    assert leads()
    run_all(clock)

    assert Counter(SENT) == Counter({"c-sent": 1, "c-later": 1, "c-refused": 1, "s-sent": 1, "s-never": 1})
    assert {key: state for key, state in states().items() if key.startswith("s-")} == {
        "s-sent": "completed", "s-never": "completed",
    }  # fmt: skip
    assert [row.timeline[-1] for row in Restore.objects.order_by("pk")] == ["1", "2", "3"]
