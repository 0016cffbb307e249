"""The state machine as data: everything can be reached, what is over stays over. [INV12]"""

from __future__ import annotations

import pytest
from django.db.models import TextChoices
from hypothesis import given
from hypothesis import strategies as st

from agentapp import states
from agentapp.states import APPROVAL_MOVES, JOB_FINAL, JOB_MOVES, WORKFLOW_FINAL, WORKFLOW_MOVES, Moves, is_legal
from tests.pure import quick

MACHINES = [
    pytest.param(WORKFLOW_MOVES, states.WorkflowState, id="workflow"),
    pytest.param(JOB_MOVES, states.JobState, id="job"),
    pytest.param(APPROVAL_MOVES, states.ApprovalState, id="approval"),
    pytest.param(states.DOCUMENT_MOVES, states.DocumentState, id="document"),
]


def reachable(moves: Moves, start: str = "") -> set[str]:
    seen, new = set[str](), [start]
    while new:
        state = new.pop()
        for to in moves.get(state, {}):
            if to not in seen:
                seen.add(to)
                new.append(to)
    return seen


@pytest.mark.parametrize(("moves", "names"), MACHINES)
def test_every_state_is_reachable_and_no_other(moves: Moves, names: type[TextChoices]) -> None:
    assert reachable(moves) == set(names.values)


@pytest.mark.parametrize(("moves", "names"), MACHINES)
def test_every_move_says_why(moves: Moves, names: type[TextChoices]) -> None:
    assert all(reason for goals in moves.values() for reason in goals.values())
    assert set(moves) <= {"", *names.values}


@pytest.mark.parametrize(("moves", "final"), [(WORKFLOW_MOVES, WORKFLOW_FINAL), (JOB_MOVES, JOB_FINAL)])
def test_what_is_over_stays_over(moves: Moves, final: frozenset[str]) -> None:
    assert not final & set(moves)


@pytest.mark.parametrize(("moves", "final"), [(WORKFLOW_MOVES, WORKFLOW_FINAL), (JOB_MOVES, JOB_FINAL)])
def test_from_everywhere_there_is_a_way_to_an_end(moves: Moves, final: frozenset[str]) -> None:
    """INV1: nothing is stuck by design."""
    for state in moves:
        assert reachable(moves, state) & final, state


def test_a_dead_letter_is_not_an_end() -> None:
    assert "dead_lettered" not in JOB_FINAL
    assert set(JOB_MOVES["dead_lettered"]) == {"available", "cancelled", "completed"}


@pytest.mark.parametrize(
    "path",
    [
        ["available", "running", "completed"],
        ["pending", "available", "running", "retryable", "available", "running", "dead_lettered", "available"],
        [],
    ],
)
def test_a_walk_along_the_moves_is_legal(path: list[str]) -> None:
    assert is_legal(JOB_MOVES, path)


@pytest.mark.parametrize(
    "path",
    [
        ["running"],
        ["available", "completed"],
        ["available", "running", "completed", "available"],
        ["available", "running", "running"],
        ["available", "nowhere"],
    ],
)
def test_a_jump_is_not(path: list[str]) -> None:
    assert not is_legal(JOB_MOVES, path)


@quick
@given(st.data())
def test_every_random_walk_is_legal_and_one_wrong_step_is_not(data: st.DataObject) -> None:
    moves = data.draw(st.sampled_from([WORKFLOW_MOVES, JOB_MOVES, APPROVAL_MOVES]))
    path: list[str] = []
    for _ in range(data.draw(st.integers(1, 12))):
        goals = sorted(moves.get(path[-1] if path else "", {}))
        if not goals:
            break
        path.append(data.draw(st.sampled_from(goals)))
    assert is_legal(moves, path)

    wrong = sorted(reachable(moves) - set(moves.get(path[-1], {})))
    assert not is_legal(moves, [*path, data.draw(st.sampled_from(wrong))])
