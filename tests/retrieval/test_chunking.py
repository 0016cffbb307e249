"""Cutting texts into passages."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from agentapp.retrieval import chunking
from agentapp.retrieval.chunking import Piece
from tests.retrieval.conftest import KNOWLEDGE


def test_each_passage_carries_the_path_of_its_headings() -> None:
    text = "# Help\n\nWelcome.\n\n## Money\n\n### Refunds\n\nWithin 30 days.\n\n## Mail\n\nDaily.\n"

    assert chunking.chunk(text) == [
        Piece("Help", "Welcome."),
        Piece("Help > Money > Refunds", "Within 30 days."),
        Piece("Help > Mail", "Daily."),
    ]


def test_the_title_stands_above_headings_that_do_not_begin_with_it() -> None:
    assert chunking.chunk("## Refunds\n\nYes.", title="Help")[0].heading == "Help > Refunds"
    assert chunking.chunk("# Help\n\nYes.", title="Help")[0].heading == "Help"
    assert chunking.chunk("Just a line.", title="Notes") == [Piece("Notes", "Just a line.")]


def test_underlined_headings_front_matter_comments_and_rules_are_no_text() -> None:
    text = "---\nlayout: page\n---\nHelp\n====\n\n<!-- hidden\n\ntext -->\nHello.\n\n***\n\nRefunds\n-------\nYes.\n"

    assert chunking.chunk(text) == [Piece("Help", "Hello."), Piece("Help > Refunds", "Yes.")]


def test_a_code_block_stays_whole_and_its_comments_are_no_headings() -> None:
    code = "```python\n# not a heading\n\n" + "value = compute(1, 2, 3)\n" * 100 + "```"

    pieces = chunking.chunk(f"# Code\n\nBefore.\n\n{code}\n\nAfter.")

    assert [piece.heading for piece in pieces] == ["Code"] * len(pieces)
    assert [piece.text for piece in pieces if "compute" in piece.text] == [code]


def test_a_fence_that_is_never_closed_lasts_to_the_end() -> None:
    assert chunking.chunk("Look:\n\n~~~\n# a\n\n# b\n") == [Piece("", "Look:\n\n~~~\n# a\n\n# b")]


def test_long_prose_is_cut_between_sentences_to_passages_of_a_usable_size() -> None:
    text = "\n\n".join(" ".join(f"Sentence {n} of paragraph {p} says something." for n in range(60)) for p in range(3))

    pieces = chunking.chunk(text)

    sizes = [len(piece.text.split()) for piece in pieces]
    assert max(sizes) <= chunking.LONGEST_WORDS and min(sizes) >= 60
    assert all(piece.text.startswith("Sentence") and piece.text.endswith("something.") for piece in pieces)
    assert " ".join(" ".join(piece.text for piece in pieces).split()) == " ".join(text.split())


def test_a_long_list_keeps_its_lines() -> None:
    text = "\n".join(f"- Item {n} is explained here." for n in range(100))

    assert "\n".join(piece.text for piece in chunking.chunk(text)) == text


def test_what_has_no_spaces_is_cut_too() -> None:
    for text in ("x" * 50_000, "```\n" + "y" * 50_000 + "\n```"):
        pieces = chunking.chunk(text)
        assert len(pieces) > 1
        assert sum(piece.text.count("x") + piece.text.count("y") for piece in pieces) == 50_000


def test_a_text_of_headings_alone_has_no_passages() -> None:
    assert chunking.chunk("# Help\n\n## Empty\n") == []


@settings(deadline=None)
@given(st.text(alphabet=st.sampled_from("ab.#`~-=>* \n\t<!"), max_size=400))
def test_no_passage_is_ever_empty_and_no_letter_in_prose_is_lost(text: str) -> None:
    pieces = chunking.chunk(text)

    assert all(piece.text.strip() for piece in pieces)
    if not set(text) & set("#`~-=<!"):
        assert "".join("".join(piece.text.split()) for piece in pieces).count("a") == text.count("a")


def test_every_section_of_the_sample_pages_is_one_passage() -> None:
    texts = [path.read_text() for path in KNOWLEDGE.glob("*.md")]
    assert texts
    for text in texts:
        assert len(chunking.chunk(text)) == text.count("\n## ") + 1
