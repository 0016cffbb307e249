"""What a process that starts says of Postgres."""

from __future__ import annotations

import pytest
from django.core.management import call_command

from agentapp.dispatch.leader import Leader
from agentapp.dispatch.loop import Hooks, duties
from agentapp.lifecycle import at_start
from agentapp.lifecycle.postgresql import limits
from agentapp.policies import connections

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_process_that_asks_for_more_than_there_is_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_process", "web")
    room = at_start.room()
    assert 0 <= room.used < room.most

    assert at_start.problems(1) == []
    (sentence,) = at_start.problems(room.most + 1)
    assert sentence.startswith(f"This web process may hold {room.most + 1} connections")


def test_the_check_of_the_database_passes_here() -> None:
    call_command("check", "--database", "default", "--fail-level", "WARNING")


def test_the_dispatcher_has_as_many_as_it_has_duties() -> None:
    every = duties(Leader(), Hooks(lambda *_: {}, lambda *_: 0))

    assert len(every) + 2 == connections.DISPATCHER
