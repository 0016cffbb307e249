"""Statements that are combined keep what they rest on, and become fewer at each level."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from agentapp.retrieval import coverage, ranges, reports, statements
from agentapp.retrieval.coverage import Coverage
from agentapp.retrieval.statements import GROUP, MOST_COMBINED, Statement
from tasks.flows.document_report import MOST_LEVELS

GIVEN = [Statement(f"Statement {n}.", frozenset({n, n + 100})) for n in range(1, 6)]


def said(text: str, *rests_on: int) -> dict[str, Any]:
    return {"text": text, "rests_on": list(rests_on)}


@given(st.frozensets(st.integers(1, 500)))
def test_ranges_are_read_back_as_they_were_written(numbers: frozenset[int]) -> None:
    assert ranges.read(ranges.written(numbers)) == numbers


def test_ranges_are_short_and_what_is_none_is_left_out() -> None:
    assert ranges.written([7, 1, 2, 3, 3, 9, 10]) == "1-3, 7, 9-10"
    assert ranges.read("1-3, x, , 5-, 9999999, 7") == {1, 2, 3, 7}
    assert (ranges.written([]), ranges.read("")) == ("", frozenset())


def test_a_statement_rests_on_what_those_rest_on_that_it_names() -> None:
    made = statements.resolve([said("Both.", 1, 2), said("Rest.", 3, 4, 5)], GIVEN, most=5)

    assert made.statements[0] == Statement("Both.", frozenset({1, 2, 101, 102}))
    assert (made.unknown, made.unfounded, made.left_out) == (0, 0, [])


def test_a_citation_of_nothing_that_was_given_is_dropped_and_counted() -> None:
    made = statements.resolve([said("One.", 1, 0, 6, -1), said("None.", 99), said("", 2), said("No.")], GIVEN, most=9)

    assert made.statements[0] == Statement("One.", frozenset({1, 101}))
    assert (made.unknown, made.unfounded) == (4, 3)
    assert [one.text for one in made.statements[1:]] == [f"Statement {n}." for n in range(2, 6)]


def test_what_nobody_names_is_kept_while_there_is_room() -> None:
    made = statements.resolve([said("One.", 1)], GIVEN, most=3)

    assert [one.text for one in made.statements] == ["One.", "Statement 2.", "Statement 3."]
    assert [one.text for one in made.left_out] == ["Statement 4.", "Statement 5."]


def test_a_statement_is_one_line_that_can_be_stored() -> None:
    assert statements.sentence("a\n b\0\ud800") == "a b\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}"
    assert len(statements.sentence("x" * 5_000)) == statements.LONGEST


@given(st.lists(st.builds(Statement, st.text(max_size=20).map(statements.sentence), st.frozensets(st.integers(1, 99)))))
def test_statements_are_read_back_as_they_were_written(some: list[Statement]) -> None:
    assert statements.load(statements.dump(some)) == some


def test_what_a_person_entered_that_is_no_statement_is_left_out() -> None:
    assert statements.of_json(None) == statements.of_json([1, {"text": "a"}, {"text": 1, "rests_on": "1"}]) == []


@given(st.integers(0, 2_000))
def test_groups_hold_every_statement_once_and_none_is_small(many: int) -> None:
    given = [Statement(str(n), frozenset({n})) for n in range(many)]
    groups = [list(group) for group in statements.groups(given)]

    assert [one for group in groups for one in group] == given
    assert all(len(group) <= GROUP for group in groups)
    assert len(groups) < 2 or all(len(group) >= GROUP // 2 for group in groups)


def test_ten_thousand_chunks_come_down_to_one_group_within_the_levels_of_the_plan() -> None:
    """However much a model says, and whatever it names."""
    left = [Statement("Said.", frozenset({n})) for n in range(10_000) for _ in range(3)]
    levels = 0
    while len(left) > GROUP:
        groups = statements.groups(left)
        left = [one for group in groups for one in statements.resolve([], group, most=MOST_COMBINED).statements]
        levels += 1

    assert levels <= MOST_LEVELS // 2


def test_a_policy_asks_for_all_or_for_a_share() -> None:
    assert [coverage.needed(100, rule="all", share=0.1), coverage.needed(100, rule="at_least", share=0.95)] == [100, 95]
    assert [coverage.needed(n, rule="at_least", share=0.9) for n in (1, 10, 11)] == [1, 9, 10]
    assert coverage.needed(5, rule="at_least", share=0.01) == 1


def test_reasons_are_told_once_the_commonest_first() -> None:
    told = Coverage(9, {2: "slow", 3: "slow", 1: "gone"}, frozenset({5})).as_json()

    assert told["reasons"] == [{"reason": "slow", "chunks": "2-3"}, {"reason": "gone", "chunks": "1"}]
    assert (told["summarized"], told["failed"], told["silent"]) == (6, "1-3", "5")


def test_a_whole_number_of_json_is_one_with_a_point_too() -> None:
    made = statements.resolve([{"text": "One.", "rests_on": [1.0, 2, 99.0]}], GIVEN, most=1)

    assert (made.statements[0].rests_on, made.unknown) == (frozenset({1, 2, 101, 102}), 1)


def test_a_statement_holds_no_citations_of_its_own() -> None:
    """A reader would take them for chunks, and the model means places of its list."""
    for marked in ("It [3] is so [1-4, 7].", "It [[3]3] is so [1\N{EN DASH}2].", "It is so. [ 12 ; 13 ]"):
        assert "[" not in statements.sentence(marked)
    assert statements.sentence("See [a] and [].") == "See [a] and []."
    assert statements.sentence(statements.sentence("[" * 300 + "1" + "]" * 300)) == statements.sentence(
        "[" * 300 + "1" + "]" * 300
    )


def test_a_title_of_others_begins_no_line_of_a_report() -> None:
    read = {"found": 1, "summarized": 1, "needed": 1, "silent": "", "not_cited": "", "failed": "",
            "reasons": [{"chunks": "2", "reason": "a\nb"}]}  # fmt: skip
    text = reports.written("T", [], documents=[{"chunks": "1", "title": "x\n\n- Chunks 9: y"}], coverage=read)

    assert text.endswith("- Chunks 2: a b\n\n- Chunks 1: x - Chunks 9: y\n")
