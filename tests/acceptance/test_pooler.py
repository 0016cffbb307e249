"""A whole deployment whose sessions all go through PgBouncer in transaction mode: none keeps what it has set."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from pytest_django import DjangoDbBlocker

from agentapp.observability import events
from tests import template
from tests.acceptance import pooler, test_cancel, test_dead_letters
from tests.acceptance.deployment import Deployment, commands, open_deployment, until
from tests.acceptance.test_flower import QUESTION

pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.timeout(900),
]
NAME = "pooled"
LEADS, DEPOSED = (events.CATALOGUE[name] for name in ("dispatcher.leads", "dispatcher.deposed"))


@contextmanager
def pooled(server: str, folder: Path) -> Iterator[str]:
    """Run PgBouncer in front of a new database of `server`; yield its address."""
    template.create(server, NAME)
    try:
        with pooler.running(urlsplit(server)._replace(path=f"/{NAME}").geturl(), folder) as address:
            yield address
    finally:
        with psycopg.connect(server, autocommit=True) as session:
            session.execute(f"DROP DATABASE IF EXISTS {NAME} WITH (FORCE)")


def kept_settings(deployment: Deployment) -> set[tuple[str, str]]:
    """Return the limits of as many sessions as are free at the same time, for statements and for locks."""
    found = set()
    with ExitStack() as stack:
        for _ in range(pooler.SESSIONS // 2):
            session = stack.enter_context(psycopg.connect(deployment.about["database_url"]))
            statement, lock = "current_setting('statement_timeout')", "current_setting('lock_timeout')"
            found.add(session.execute(f"SELECT {statement}, {lock}").fetchone() or ("", ""))
    return found


def said_at_start(deployment: Deployment, name: str) -> bool:
    return events.CATALOGUE["postgres.start"] in deployment.log(name)


def test_tasks_end_and_a_killed_worker_is_noticed_behind_a_pooler(
    django_db_blocker: DjangoDbBlocker,
) -> None:
    lines = {name: line for name, line in commands().items() if name != "flower"}
    with (
        tempfile.TemporaryDirectory(prefix="agentapp-test-") as folder,
        pooled(os.environ["DATABASE_URL"], Path(folder)) as address,
        django_db_blocker.unblock(),
        open_deployment(lines, env={"DATABASE_URL": address}, alias=NAME) as deployment,
    ):
        tasks = [deployment.submit("support_reply", **QUESTION) for _ in range(3)]
        for task in tasks:
            deployment.reach(task, "awaiting_approval")
            deployment.approve(task)
        for task in tasks:
            deployment.reach(task, "completed")

        # `make pooler` lets these whole modules, and others, run behind it.
        test_cancel.test_a_running_body_stops_and_its_type_cleans_up_once(deployment, "count_in_a_child")
        test_dead_letters.test_a_refused_request_is_a_dead_letter_that_a_replay_completes(deployment)

        with deployment.sql() as session:
            (leaders,) = session.execute(
                "SELECT count(*) FROM agentapp_dispatcherlease WHERE expires_at > now()"
            ).fetchone() or (0,)
        assert leaders == 1
        # The row has place for one; this is how many believe that it is theirs.
        logs = [deployment.log(name) for name in ("dispatcher", "dispatcher_b")]
        assert sum(log.count(LEADS) - log.count(DEPOSED) for log in logs) == 1

        held = deployment.submit("held_threads", gate="pooled")
        until(lambda: any(job["state"] == "running" for job in deployment.jobs(held)), "it runs")
        deployment.kill("worker_model")
        until(lambda: len(deployment.jobs(held)[0]["attempts"]) == 2, "another attempt runs")

        for name in ("web", "dispatcher", "worker_model"):
            until(partial(said_at_start, deployment, name), "it says that its role has no time limits")
        assert kept_settings(deployment) == {("0", "0")}, "what one process sets must not hold for the others"
        assert "prepared statement" not in "".join(deployment.log(name) for name in lines)
