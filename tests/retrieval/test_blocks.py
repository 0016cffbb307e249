"""Reading texts that nobody wrote with our parser in mind, by mistake or on purpose."""

from __future__ import annotations

import sys
from types import FrameType

import pytest

from agentapp.offline_model import drafting, questions
from agentapp.retrieval import blocks, chunking, replies
from agentapp.retrieval.blocks import Block
from agentapp.retrieval.chunking import Piece

# Large enough that a quadratic reading of any of them outlasts the timeout of a test.
MANY = 200_000
HOSTILE = {
    "blanks in a heading": "# a" + " " * MANY + "b",
    "hashes in a heading": "# a" + " #" * MANY + " b",
    "comments on one line": "<!--" * MANY,
    "comments on many lines": "<!--\n" * MANY,
    "comments in code": "`" + "<!--" * MANY,
    "comments that close too early": "--> <!--\n" * MANY,
    "comments that close at the end": "a <!--\n\n" * MANY + "-->",
    "backticks": "`" * MANY,
    "fences": "```\n~~~\n" * MANY,
    "fences within a line": "```a```\n" * MANY,
    "pipes": "|" * MANY,
    "rows": "| a " * MANY + "\n" + "|---" * MANY,
    "hashes": "#" * MANY,
    "brackets": "[" * MANY,
    "rules": "- " * MANY + "a",
    "items": "".join(" " * (at % 200) + "- a\n" for at in range(50_000)),
    "front matter": "---\na: b\n" + "--- \n a" * MANY,
    "full stops": "." * MANY,
    "blanks": "." + " " * MANY + "a",
    "tabs": "\t" * MANY + "a",
    "a long heading above many": f"# {'a' * MANY}\n" + "## b\n\nc\n\n" * 50_000,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.timeout(300)
def test_hostile_texts_are_read_line_by_line(text: str) -> None:
    pieces = chunking.chunk(text)

    # A text of marks alone may have nothing to quote.
    assert all(piece.text.strip() and len(piece.heading) <= blocks.HEADING_CHARS for piece in pieces)


def calls_for(text: str) -> int:
    """How many functions are called, ours and those of Python, while a text is cut into passages."""
    count = 0

    def counted(frame: FrameType, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(counted)
    try:
        chunking.chunk(text)
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize(
    "pattern",
    ["Some words in a row. ", "<!--\n", "```\n~~~\n", "| a | b |\n|---|---|\n| 1 | 2 |\n", "## b\n\nc\n\n", " - a\n"],
    ids=["prose", "comments", "fences", "tables", "headings", "items"],
)
def test_four_times_the_text_is_four_times_the_work(pattern: str) -> None:
    assert calls_for(pattern * 1_200) < 4.5 * calls_for(pattern * 300)


@pytest.mark.timeout(300)
def test_hostile_blanks_and_brackets_in_replies_and_questions_are_read_once() -> None:
    blanks = " " * 200_000

    assert replies.without_ceremony(f"a{blanks}b") == f"a{blanks}b"
    assert questions.parts(f"What is a{blanks}b?")
    assert drafting.clean("[" * 200_000 + "a](b)") == "[" * 199_999 + "a"


@pytest.mark.parametrize(
    "text",
    [
        "```inline code```\n\n# Help\n\nYes.",
        "``` `` ```\n# Help\n\nYes.",
        "~~~\n```\n~~~\n# Help\n\nYes.",
        "````\n```\n````\n# Help\n\nYes.",
        "```\n# no heading\n``` \n# Help\n\nYes.",
        "   ```\n# no heading\n  ```\n# Help\n\nYes.",
        "    ```\n\n# Help\n\nYes.",
        "- item\n\n      ```\n\n# Help\n\nYes.",
        "- item\n  ```\n  never closed\n# Help\n\nYes.",
        "1. item\n\n    ```sh\n    # no heading\n    ```\n\n# Help\n\nYes.",
        "- ```\n  # no heading\n  ```\n\n# Help\n\nYes.",
        "<!--\n```\n# hidden\n-->\n# Help\n\nYes.",
        "Write `<!--` for a comment.\n\n# Help\n\nYes.\n\n```\n-->\n```",
        "A comment <!-- that nobody ends\n\n# Help\n\nYes.",
        "- item\n---\n# Help\n\nYes.",
        "---\n\nA rule.\n\n---\n# Help\n\nYes.",
    ],
)
def test_a_heading_behind_code_and_comments_is_a_heading(text: str) -> None:
    assert [block.text for block in blocks.read(text) if block.kind == "heading"] == ["Help"]
    assert chunking.chunk(text)[-1].heading == "Help"
    assert chunking.chunk(text)[-1].text.startswith("Yes.")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\x85", "\u2028", "\u2029", "\f"])
def test_every_line_end_ends_a_heading(end: str) -> None:
    text = end.join(["# Help", "", "Yes.", "", "Refunds", "-------", "Never."])

    assert chunking.chunk(text) == [Piece("Help", "Yes."), Piece("Help > Refunds", "Never.")]


def test_a_byte_order_mark_is_no_text() -> None:
    assert chunking.first_heading("\ufeff# Help\n\nYes.") == "Help"
    assert chunking.chunk("\ufeff---\na: b\n---\n# Help\n\nYes.") == [Piece("Help", "Yes.")]


def test_what_postgres_cannot_keep_is_replaced() -> None:
    assert chunking.chunk("# He\x00lp\n\nY\x00es.") == [Piece("He\ufffdlp", "Y\ufffdes.")]


def test_a_heading_keeps_its_own_hashes_and_a_very_long_one_is_text() -> None:
    long = "# " + "word " * 100

    assert chunking.first_heading("## About C# ##") == "About C#"
    assert chunking.first_heading("## C#") == "C#"
    assert list(blocks.read(long)) == [Block("paragraph", long.strip())]
    assert list(blocks.read("#hashtag\n####### seven")) == [Block("paragraph", "#hashtag\n####### seven")]


def test_a_comment_within_a_paragraph_is_left_out_and_the_words_around_it_stay() -> None:
    assert [block.text for block in blocks.read("Before <!-- a\nb --> after.\n\nEnd <!-- c --> here.")] == [
        "Before\n after.",
        "End  here.",
    ]


def test_a_long_table_is_cut_between_its_rows() -> None:
    rows = [f"| Plan {n} | Costs {n} euros. Ask us | monthly |" for n in range(100)]
    table = "\n".join(["| Plan | Price | Paid |", "|---|---|---|", *rows])

    pieces = chunking.chunk(table)

    assert len(pieces) > 1 and max(len(piece.text.split()) for piece in pieces) <= chunking.LONGEST_WORDS
    assert "\n".join(piece.text for piece in pieces) == table


def test_long_lines_without_sentences_and_long_lines_of_code_stay_lines() -> None:
    prose = "\n".join(f"step {n} of the way" for n in range(100))
    code = "```\n" + "x " * 1_500 + "\n# next\n```"

    assert "\n".join(piece.text for piece in chunking.chunk(prose)) == prose
    assert chunking.chunk(code)[-1].text.endswith("# next\n```")
