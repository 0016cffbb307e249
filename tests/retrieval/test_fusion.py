"""Reciprocal rank fusion, and passages of several sources in one order."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentapp.retrieval import fusion, passages
from agentapp.retrieval.passages import Passage


def passage(text: str, *, source: str = "documents", title: str = "Title") -> Passage:
    return Passage(id=f"id of {text}", source=source, title=title, heading="", text=text, score=0.0)


def test_what_both_rankings_name_wins_over_two_single_firsts() -> None:
    ranked = fusion.fuse([["words", "both"], ["meaning", "both"]])

    assert [item for item, _ in ranked] == ["both", "words", "meaning"]
    assert ranked[0][1] == pytest.approx(2 / 62)


def test_one_ranking_alone_keeps_its_order() -> None:
    assert [item for item, _ in fusion.fuse([["c", "a", "b"], []])] == ["c", "a", "b"]


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(0, 20), unique=True, max_size=10), max_size=4))
def test_every_item_comes_once_and_scores_fall(rankings: list[list[int]]) -> None:
    ranked = fusion.fuse(rankings)

    assert sorted(item for item, _ in ranked) == sorted({item for ranking in rankings for item in ranking})
    assert [score for _, score in ranked] == sorted((score for _, score in ranked), reverse=True)


def test_sources_take_turns_and_a_text_that_two_of_them_found_comes_first_and_once() -> None:
    documents = [passage("a"), passage("b"), passage("c")]
    replies = [passage("x", source="approved_replies"), passage("b", source="approved_replies")]

    merged = passages.merge([documents, replies], limit=3)

    assert [found.text for found in merged] == ["b", "a", "x"]
    assert merged[0].source == "documents"


def test_passages_survive_their_artifact() -> None:
    found = [passage("Grüße aus [1] <b>"), passage("zwei")]

    assert passages.load(passages.dump(found)) == found


def test_only_what_the_draft_cites_is_cited() -> None:
    numbered = [passage("one", title="First"), passage("two"), passage("three", title="Third")]

    found = passages.cited("Yes [3]. No [1, 3]. Perhaps [9]; see item [x] and 2.", numbered)

    assert [(item["n"], item["title"], item["source"], item["text"]) for item in found] == [
        (1, "First", "documents", "one"),
        (3, "Third", "documents", "three"),
    ]
