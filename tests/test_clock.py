"""Time comes from one place: agentapp/clock.py in Python, the `p_now` of a move in SQL."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from tests.structure.source import ROOT, Module, modules

HOME = "agentapp/clock.py"
# What reads the wall. Durations are measured with time.monotonic, which tells no time.
WALL_CLOCKS = {
    "datetime": {"now", "utcnow", "today", "utcfromtimestamp"},
    "date": {"today"},
    "timezone": {"now", "localtime", "localdate"},
    "time": {"time", "time_ns", "localtime", "gmtime"},
}
EXCEPTIONS = {
    "agentapp/client/webhooks.py": "the client runs elsewhere, and has nothing of the service but its address",
    "agentapp/ids.py": "an id sorts by its true birth, also while a test has stopped the clock",
    "agentapp/runtime/task_events.py": "Celery's events carry the time of the machine that sends them",
    "config/session_limits.py": "Django compares the end of a session with its own clock",
}
# Each takes the moment of the move from its caller, where a test has stopped the clock.
SQL_EXCEPTIONS = {
    "uuid7": "an id sorts by its true birth",
    "heartbeat": "a heartbeat is about living processes, which no test stops in time",
    "effect_id": "the same",
    "moment": "what a session of a restricted role says of the time is not believed",
    "postgres_uptime": "the age of Postgres itself",
}
WALL_CLOCK_SQL = re.compile(
    r"\b(clock_timestamp|now|statement_timestamp|transaction_timestamp)\s*\(\s*\)|current_t", re.IGNORECASE
)
OF_THE_MOVE = "coalesce(p_now, clock_timestamp())"


def wall_clocks(module: Module) -> Iterator[str]:
    """Yield where a file reads the wall clock: `datetime.now()`, or handed on as `default=timezone.now`."""
    for node in module.nodes:
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name | ast.Attribute):
            owner = node.value.id if isinstance(node.value, ast.Name) else node.value.attr
            if node.attr in WALL_CLOCKS.get(owner, ()):
                yield f"{module.path}:{node.lineno}: {owner}.{node.attr}"
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            of = (node.module or "").rpartition(".")[2]
            for alias in node.names:
                if alias.name in WALL_CLOCKS.get(of, ()):
                    yield f"{module.path}:{node.lineno}: from {node.module} import {alias.name}"


# What is compared with rows is told by Postgres: a machine whose clock is wrong by an hour would find every message
# overdue, or none.
BY_POSTGRES = ("lifecycle", "dispatch")


def own_clocks(module: Module) -> Iterator[str]:
    """Yield where a file asks this machine for the time."""
    for node in module.nodes:
        if isinstance(node, ast.Attribute) and node.attr == "now" and ast.unparse(node) == "clock.now":
            yield f"{module.path}:{node.lineno}"


def test_moves_and_sweeps_go_by_the_clock_of_postgres() -> None:
    found = [
        place for module in modules("agentapp") if module.path.split("/")[1] in BY_POSTGRES
        for place in own_clocks(module)
    ]  # fmt: skip

    assert not found, "Use lifecycle.database.now(), or `clock.fixed() or Now()` in a query:\n" + "\n".join(found)


def test_the_clock_of_a_machine_is_reported() -> None:
    text = "moment = clock.now()\nother = database.now()\nstopped = clock.fixed() or Now()"

    assert list(own_clocks(Module.of("agentapp/dispatch/new.py", text))) == ["agentapp/dispatch/new.py:1"]


def test_nobody_else_reads_the_clock() -> None:
    found = [
        place for module in modules("agentapp", "tasks", "config") if module.path not in {HOME, *EXCEPTIONS}
        for place in wall_clocks(module)
    ]  # fmt: skip

    assert not found, "Call agentapp.clock.now():\n" + "\n".join(found)


@pytest.mark.parametrize("path", EXCEPTIONS)
def test_an_exception_is_one(path: str) -> None:
    (module,) = [module for module in modules("agentapp", "config") if module.path == path]

    assert list(wall_clocks(module)), f"{path} no longer reads the clock: take it out of EXCEPTIONS"


def test_moves_take_their_moment_from_their_caller() -> None:
    """A stopped clock stops Postgres too; otherwise leases of many machines are compared by Postgres's own clock."""
    found = []
    for path in sorted((ROOT / "agentapp" / "lifecycle" / "sql").glob("*.sql")):
        for body in re.split(r"(?=CREATE OR REPLACE FUNCTION )", path.read_text()):
            name = re.match(r"CREATE OR REPLACE FUNCTION moves\.(\w+)", body)
            code = "\n".join(line.partition("--")[0] for line in body.splitlines()).replace(OF_THE_MOVE, "")
            if WALL_CLOCK_SQL.search(code) and (not name or name[1] not in SQL_EXCEPTIONS):
                found.append(f"{path.name}: {name[1] if name else 'outside of any function'}")

    assert not found, f"Write {OF_THE_MOVE}:\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("text", "times"),
    [
        ("moment = datetime.now(UTC)", 1),
        ("moment = datetime.datetime.utcnow()", 1),
        ("field = DateTimeField(default=timezone.now)", 1),
        ("from time import time", 1),
        ("started = time.time()", 1),
        ("started = time.monotonic()\nmoment = clock.now()", 0),
    ],
)
def test_a_wall_clock_is_reported(text: str, times: int) -> None:
    assert len(list(wall_clocks(Module.of("agentapp/services/new.py", text)))) == times


@pytest.mark.parametrize("text", ["SELECT now()", "x := clock_timestamp ()", "DEFAULT current_timestamp"])
def test_a_wall_clock_in_sql_is_reported(text: str) -> None:
    assert WALL_CLOCK_SQL.search(text)
