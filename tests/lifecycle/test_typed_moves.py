"""Moves have parameters with types: Python names those that there are, and Postgres refuses what does not fit."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from django.db import DatabaseError, connection, transaction

from agentapp.lifecycle import database, function_set
from agentapp.models import GateChange, History, Limit, Workflow
from agentapp.services import workflows
from agentapp.services.principals import Principal
from tests.structure.source import Module, modules

pytestmark = pytest.mark.django_db

# Moves that are made for a list: lifecycle/lane.py calls them.
OF_LISTS = {"begin_effects", "claim", "settle"}
# Of what a call is given, these are no arguments of the move: its name, and a session of one's own.
BEFORE = {"call": 1, "ask": 2}
PARAMETERS = """
SELECT p.proname, a.name, format_type(t.type, NULL), a.place > p.pronargs - p.pronargdefaults
  FROM pg_proc p, unnest(p.proargnames) WITH ORDINALITY a(name, place),
       unnest(p.proargtypes) WITH ORDINALITY t(type, place)
 WHERE p.pronamespace = %s::regnamespace AND a.place = t.place ORDER BY p.proname, a.place
"""


@dataclass(frozen=True)
class Parameter:
    name: str
    type: str
    is_optional: bool


@dataclass(frozen=True)
class Call:
    place: str
    function: str
    names: frozenset[str]
    is_partial: bool
    """There is a `**more`: what it gives cannot be read from the text."""

    def faults(self, parameters: list[Parameter] | None) -> Iterator[str]:
        """Say what does not fit the parameters of the installed function; None: there is no such function."""
        if parameters is None:
            yield f"{self.place}: there is no move {self.function}"
            return
        for name in sorted(self.names - {each.name for each in parameters}):
            yield f"{self.place}: {self.function} has no {name}"
        if not self.is_partial:
            for each in parameters:
                if not each.is_optional and each.name not in self.names:
                    yield f"{self.place}: {self.function} needs {each.name}"


def calls(module: Module) -> Iterator[Call]:
    """Yield the calls of moves with arguments by name."""
    for node in module.nodes:
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        before = BEFORE.get(node.func.attr)
        if before is None or ast.unparse(node.func.value) != "database":
            continue
        function = ast.literal_eval(node.args[before - 1])
        assert len(node.args) == before, f"{module.path}:{node.lineno}: give {function} its arguments by name"
        yield Call(
            f"{module.path}:{node.lineno}", function,
            frozenset(f"p_{keyword.arg}" for keyword in node.keywords if keyword.arg),
            any(keyword.arg is None for keyword in node.keywords),
        )  # fmt: skip


def installed() -> dict[str, list[Parameter]]:
    """The functions of the set with the parameters that go in."""
    found: dict[str, list[Parameter]] = {}
    with connection.cursor() as cursor:
        cursor.execute(PARAMETERS, [function_set.SCHEMA])
        for function, name, type_, is_optional in cursor.fetchall():
            found.setdefault(function, []).append(Parameter(name, type_, is_optional))
    return found


def all_calls() -> list[Call]:
    return [call for module in modules("agentapp") for call in calls(module)]


def of_text(text: str) -> list[str]:
    known = installed()
    return [
        fault for call in calls(Module.of("a.py", text)) for fault in call.faults(known.get(call.function))
    ]  # fmt: skip


def test_calls_name_what_the_move_has_and_give_what_it_needs() -> None:
    known = installed()
    faults = [fault for call in all_calls() for fault in call.faults(known.get(call.function))]

    assert not faults, "\n" + "\n".join(faults)


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("database.call('cancel', workflow=w, actor=a, reason=r)", []),
        ("database.call('cancel', workflow=w, actor=a, reasons=r)", ["has no p_reasons", "needs p_reason"]),
        ("database.call('cancel', workflow=w, **more)", []),
        ("database.call('cancel', task=w, **more)", ["has no p_task"]),
        ("database.ask(session, 'resign', holder=h)", ["needs p_epoch"]),
        ("database.call('retire')", ["there is no move retire"]),
    ],
)
def test_a_call_that_does_not_fit_is_reported(text: str, faults: list[str]) -> None:
    found = of_text(text)

    assert len(found) == len(faults), found
    assert all(part in fault for part, fault in zip(faults, found, strict=True)), found


def test_every_move_takes_its_moment_last_and_no_untyped_object() -> None:
    """function_set, and the tests of moves, know a move by that."""
    known = installed()
    called = {call.function for call in all_calls()} | OF_LISTS

    assert "p" not in {each.name for parameters in known.values() for each in parameters}
    assert called == {
        function for function, parameters in known.items()
        if parameters[-1] == Parameter("p_now", "timestamp with time zone", is_optional=True)
    }  # fmt: skip


def test_what_is_called_and_writes_is_planned_by_index_and_nothing_else() -> None:
    """function_set makes these settings, and knows by its parameters what is called."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT p.proname FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang WHERE l.lanname = 'plpgsql'"
            " AND p.pronamespace = %s::regnamespace AND p.provolatile = 'v' AND p.proname = ANY(%s)",
            [function_set.SCHEMA, sorted({call.function for call in all_calls()} | OF_LISTS)],
        )
        writing = {name for (name,) in cursor.fetchall()}
        cursor.execute(
            "SELECT proname FROM pg_proc WHERE pronamespace = %s::regnamespace"
            " AND 'enable_seqscan=off' = ANY(proconfig)",
            [function_set.SCHEMA],
        )
        planned = {name for (name,) in cursor.fetchall()}

    assert planned == writing


def everything() -> tuple[Any, ...]:
    return (
        [*Workflow.objects.order_by("pk").values()], History.objects.count(),
        [*Limit.objects.order_by("pk").values()], GateChange.objects.count(),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("function", "arguments", "sqlstate"),
    [
        pytest.param("cancel", {"reasons": "misspelt"}, "42883", id="an unknown name"),
        pytest.param("cancel", {"actor": 7}, "42883", id="a number as a text"),
        pytest.param("cancel", {"reason": {"a": 1}}, "42883", id="an object as a text"),
        pytest.param("cancel", {"workflow": "no id"}, "22P02", id="a text as an id"),
        pytest.param("cancel", {"workflow": True}, "42883", id="a boolean as an id"),
        pytest.param("expire", {"workflow": None, "now": "soon"}, "22007", id="a text as a moment"),
        pytest.param("report", {"tokens": 1.5}, "42883", id="a fraction as a whole number"),
        pytest.param("report", {"used": 2**40}, "42883", id="a number that is too large"),
        pytest.param("report", {"breaker": [uuid4()]}, "42883", id="an array as an object"),
        pytest.param("ensure_keys", {"keys": {"model:a": 1}}, "42883", id="an object as an array"),
        pytest.param("explain", {"jobs": ["no id"]}, "22P02", id="a text in a list of ids"),
    ],
)
def test_an_argument_that_does_not_fit_is_refused_and_nothing_changes(
    principal: Principal, function: str, arguments: dict[str, Any], sqlstate: str
) -> None:
    workflow = workflows.submit(principal, kind="probe_fan", input={})
    database.call("ensure_keys", keys=["model:a"])
    fitting: dict[str, dict[str, Any]] = {
        "cancel": {"workflow": workflow.pk, "actor": "test", "reason": "not needed"},
        "expire": {"workflow": workflow.pk, "actor": "test"},
        "report": {
            "key": "model:a", "outcome": "failed", "job_type": "a", "tokens": 1, "requests": 1, "reason": "",
            "breaker": {"window_s": 30, "min_calls": 10, "share": 0.5, "open_s": 30, "longest_s": 300},
        },
        "ensure_keys": {"keys": ["model:b"]},
        "explain": {"jobs": []},
    }  # fmt: skip
    before = everything()

    with pytest.raises(DatabaseError) as caught, transaction.atomic():
        database.call(function, **(fitting[function] | arguments))

    assert getattr(caught.value.__cause__, "sqlstate", "").startswith(sqlstate)
    assert everything() == before
    database.call(function, **fitting[function])


def test_arguments_arrive_as_what_they_are(principal: Principal) -> None:
    """A datetime to the microsecond, a list as an array, and of a text what Postgres can keep."""
    workflow = workflows.submit(principal, kind="probe_fan", input={})
    moment = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)

    database.call("cancel", workflow=str(workflow.pk), actor="k\x00im", reason="half \ud83d of a pair", now=moment)

    last = History.objects.filter(workflow=workflow, noun="workflow").latest("seq")
    assert (last.actor, last.reason, last.at) == ("k\N{REPLACEMENT CHARACTER}im", "half � of a pair", moment)
    workflow.refresh_from_db()
    assert workflow.error == {"class": "Cancelled", "message": "half � of a pair"}

    database.call("ensure_keys", keys=["model:\x00"])
    assert Limit.objects.filter(name="\N{REPLACEMENT CHARACTER}").exists()
