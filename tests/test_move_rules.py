"""The rules of moves that a machine can check: lock, then read; name the state that is left; one statement that changes
the state of a job; states that there are; small functions.

Each is shown to fail.
"""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType

import pytest

from agentapp.lifecycle import function_set
from tests.structure import backlogs, doors, locks, moves, size, state_names
from tests.structure.source import ROOT, modules

STRUCTURE = Path(__file__).parent / "structure"
VIOLATIONS = sorted((STRUCTURE / "move_violations").glob("*.sql"))
LOCK_VIOLATIONS = sorted((STRUCTURE / "lock_violations").glob("*.sql"))
STATE_VIOLATIONS = sorted((STRUCTURE / "state_name_violations").glob("*.sql"))
BACKLOG_VIOLATIONS = sorted((STRUCTURE / "backlog_violations").glob("*.sql"))
SOURCES = sorted(function_set.SOURCES.glob("*.sql"))
# Files of lifecycle/ that write a state which is no job's.
STATES_IN_PYTHON = {
    "bulk.py": "of a bulk replay",
    "bulk_work.py": "of a bulk replay or a bulk cancellation",
    "documents.py": "of a document",
    "submit.py": "of a task that is not stored yet",
}
FILE_LINES = 150
FUNCTION_LINES = 40


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_moves_lock_before_they_read_and_name_the_state_that_they_leave(path: Path) -> None:
    found = [str(each) for each in moves.check(path.relative_to(ROOT).as_posix(), path.read_text())]

    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize("checker", [locks, backlogs, state_names])
@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_moves_wait_for_no_row_of_many_take_so_many_of_each_queue_and_name_states_that_there_are(
    path: Path, checker: ModuleType
) -> None:
    found = [str(each) for each in checker.check_sql(path.relative_to(ROOT).as_posix(), path.read_text())]

    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("checker", "path"),
    [(locks, path) for path in LOCK_VIOLATIONS]
    + [(backlogs, path) for path in BACKLOG_VIOLATIONS]
    + [(state_names, path) for path in STATE_VIOLATIONS],
)
def test_a_move_that_breaks_a_rule_of_sweeps_or_names_no_state_is_reported(checker: ModuleType, path: Path) -> None:
    """The first line says how often."""
    text = path.read_text()

    assert len(list(checker.check_sql(path.name, text))) == int(text.splitlines()[0].removeprefix("-- "))


@pytest.mark.parametrize(("checker", "name"), [(c, name) for c in (locks, backlogs) for name in c.EXEMPT])
def test_every_exemption_is_of_a_function_that_breaks_the_rule(
    monkeypatch: pytest.MonkeyPatch, checker: ModuleType, name: str
) -> None:
    monkeypatch.setattr(checker, "EXEMPT", {})
    files = [each for module in modules("agentapp/lifecycle") for each in checker.check(module)]
    found = [*files, *(each for path in SOURCES for each in checker.check_sql(path.name, path.read_text()))]

    assert any(name in each.sentence for each in found)


@pytest.mark.parametrize("name", moves.BESIDE_THE_DOOR)
def test_every_move_beside_the_door_changes_the_state_of_a_job(name: str) -> None:
    there = [each for path in SOURCES for each in moves.functions(path.name, path.read_text()) if each.name == name]

    assert [len(list(moves.writes_beside_the_door(each))) for each in there] == [1]


@pytest.mark.parametrize("name", moves.SAVERS)
def test_who_may_save_by_itself_does(name: str) -> None:
    bodies = [
        each.body for path in SOURCES for each in moves.functions(path.name, path.read_text()) if each.name == name
    ]

    assert [len(moves.SAVES.findall(body)) for body in bodies] == [1]


def test_no_statement_in_python_changes_the_state_of_a_job() -> None:
    """The checkers of the rest let lifecycle/ write states and speak SQL."""
    lifecycle = modules("agentapp/lifecycle")
    found = [f"{module.path}:{at}" for module in modules("agentapp") for at in moves.statements_in_python(module)]
    writers = {module.path for module in lifecycle if any(doors.one_door_per_state(module))}

    assert not found
    assert any(moves.WRITE.search(module.text) for module in lifecycle)
    assert writers == {f"agentapp/lifecycle/{name}" for name in STATES_IN_PYTHON}


@pytest.mark.parametrize("name", moves.EXEMPT)
def test_every_move_that_may_read_before_it_locks_does(name: str) -> None:
    there = [each for path in SOURCES for each in moves.functions(path.name, path.read_text()) if each.name == name]

    assert [bool(list(moves.reads_before_locks(each))) for each in there] == [True]


def too_long(name: str, text: str) -> list[str]:
    return [str(each) for each in size.check_sql(name, text, file_lines=FILE_LINES, function_lines=FUNCTION_LINES)]


def function_of(lines: int) -> str:
    return "CREATE OR REPLACE FUNCTION moves.endless() RETURNS void AS $$\n" + "--\n" * (lines - 2) + "END $$;\n"


def test_files_and_functions_of_moves_are_small() -> None:
    found = [each for path in SOURCES for each in too_long(path.name, path.read_text())]

    assert not found, "\n" + "\n".join(found)


def test_a_function_and_a_file_that_are_too_long_are_reported() -> None:
    fits = "-- A comment above it.\n" * (FILE_LINES - FUNCTION_LINES) + function_of(FUNCTION_LINES)

    assert not too_long("a.sql", fits)
    assert [found.split(": ")[0] for found in too_long("a.sql", "\n" + fits)] == ["a.sql:1"]
    two = function_of(FUNCTION_LINES) + function_of(FUNCTION_LINES + 1)
    assert [found.split(": ")[0] for found in too_long("a.sql", two)] == [f"a.sql:{FUNCTION_LINES + 1}"]


@pytest.mark.parametrize("path", VIOLATIONS, ids=lambda path: path.stem)
def test_a_violation_is_reported(path: Path) -> None:
    """The first line says how often a rule is broken."""
    text = path.read_text()

    assert len(list(moves.check(path.name, text))) == int(text.splitlines()[0].removeprefix("-- "))


def test_all_moves_are_seen() -> None:
    """The checkers read functions by their text: they must find as many as there are."""
    for path in SOURCES:
        text = path.read_text()
        there = re.findall(r"\bFUNCTION (moves\.\w+)\(", text)
        assert [function.name for function in moves.functions(path.name, text)] == there, path.name
        assert [found[1] for found in size.SQL_FUNCTION.finditer(text)] == there, path.name
