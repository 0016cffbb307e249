"""The rules of moves that a machine can check: lock, then read; name the state that is left. Each is shown to fail."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentapp.lifecycle import function_set
from tests.structure import moves
from tests.structure.source import ROOT

VIOLATIONS = sorted((Path(__file__).parent / "structure" / "move_violations").glob("*.sql"))
SOURCES = sorted(function_set.SOURCES.glob("*.sql"))
FILE_LINES = 300


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_moves_lock_before_they_read_and_name_the_state_that_they_leave(path: Path) -> None:
    found = [str(each) for each in moves.check(path.relative_to(ROOT).as_posix(), path.read_text())]

    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_files_of_moves_are_small(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= FILE_LINES


@pytest.mark.parametrize("path", VIOLATIONS, ids=lambda path: path.stem)
def test_a_violation_is_reported(path: Path) -> None:
    """The first line says how often a rule is broken."""
    text = path.read_text()

    assert len(list(moves.check(path.name, text))) == int(text.splitlines()[0].removeprefix("-- "))


def test_all_moves_are_seen() -> None:
    """The checker reads functions by their text: it must find as many as there are."""
    for path in SOURCES:
        text = path.read_text()
        assert len(list(moves.functions(path.name, text))) == text.count("CREATE OR REPLACE FUNCTION"), path.name
