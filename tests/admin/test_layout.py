"""The pure parts of the pages: the time axis, the diff, hidden characters, durations."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentapp.admin import cells, hidden_characters, prose_diff, timescale

_moments = st.floats(min_value=0, max_value=1e6)


def test_a_wait_of_days_is_cut_so_that_seconds_of_work_stay_visible() -> None:
    axis = timescale.scale([(0, 2), (200_000, 200_003)], end_s=200_003, width=800)

    assert [cut.end_s - cut.start_s for cut in axis.cuts] == [199_998]
    assert axis.x(2) - axis.x(0) > 200


def test_a_short_pause_is_not_cut() -> None:
    assert timescale.scale([(0, 2), (3, 5)], end_s=5, width=800).cuts == []


@given(st.lists(st.tuples(_moments, _moments).map(sorted), max_size=8), st.lists(_moments, min_size=2, max_size=6))
def test_later_moments_never_stand_further_left(busy: list[tuple[float, float]], moments: list[float]) -> None:
    axis = timescale.scale(busy, end_s=1e6, width=800)
    places = [axis.x(moment) for moment in sorted(moments)]

    assert places == sorted(places)
    assert places[-1] <= 800.001
    assert axis.x(1e6) == pytest.approx(800)


@given(st.text(alphabet="ab \n.", max_size=60), st.text(alphabet="ab \n.", max_size=60))
def test_a_diff_tells_both_texts(before: str, after: str) -> None:
    pieces = prose_diff.compare(before, after)

    assert "".join(piece.text for piece in pieces if piece.kind != "added") == before
    assert "".join(piece.text for piece in pieces if piece.kind != "removed") == after


def test_a_diff_names_the_words_that_changed() -> None:
    pieces = prose_diff.compare("Pay within ten days.", "Pay within two days.")

    assert [(piece.kind, piece.text) for piece in pieces if piece.kind != "same"] == [
        ("removed", "ten"),
        ("added", "two"),
    ]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a b " * 5_000, "b a " * 5_000),
        ("\n" * 200_000, "x" + "\n" * 150_000),
        ("a\nb\n" * 40_000 + "end", "a\nc\nb\n" * 40_000 + "end"),
        ("same " + "a " * 20_000, "same " + "a b " * 20_000),
    ],
)
def test_texts_that_are_alike_everywhere_are_compared_with_bounded_work(before: str, after: str) -> None:
    pieces = prose_diff.compare(before, after)

    assert "".join(piece.text for piece in pieces if piece.kind != "added") == before
    assert "".join(piece.text for piece in pieces if piece.kind != "removed") == after


def test_what_is_too_much_word_by_word_is_still_compared_line_by_line() -> None:
    lines = [f"{number} {'word ' * 40}\n" for number in range(400)]

    pieces = prose_diff.compare("".join(lines), "".join([*lines[:200], "new\n", *lines[200:]]))

    assert [piece.text for piece in pieces if piece.kind != "same"] == ["new\n"]


def test_characters_that_nobody_would_see_get_a_name() -> None:
    stretches = hidden_characters.reveal("Pay\u202enow\u200b to\u00a0us\n")

    assert [stretch.name for stretch in stretches if stretch.name] == [
        "right-to-left override",
        "zero width space",
        "no-break space",
    ]
    assert "".join(stretch.text for stretch in stretches) == "Pay\u202enow\u200b to\u00a0us\n"


FAMILY = "\U0001f469\U0001f3fd\u200d\U0001f4bb \u2764\ufe0f\u200d\U0001f525 1\ufe0f\u20e3"
ENGLAND = "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f"


@pytest.mark.parametrize(
    "text", [FAMILY, ENGLAND, "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", "\u0915\u094d\u200d\u0937"]
)
def test_what_joins_emoji_and_letters_is_no_hidden_character(text: str) -> None:
    assert [stretch.name for stretch in hidden_characters.reveal(text) if stretch.name] == []


@pytest.mark.parametrize(
    "text",
    ["a\u200db", "a\ufe0f", "\U0001f469\ufe01", "\U0001f3f4\U000e0041\U000e007f", "a\u3164b", "\u200d\U0001f4bb"],
)
def test_a_joiner_that_joins_nothing_and_text_in_tags_are_shown(text: str) -> None:
    stretches = hidden_characters.reveal(text)

    assert any(stretch.name for stretch in stretches)
    assert "".join(stretch.text for stretch in stretches) == text


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 ms"),
        (0.34, "340 ms"),
        (9.96, "10.0 s"),
        (12, "12 s"),
        (200, "3 min 20 s"),
        (7200, "2 h"),
        (190_800, "2 d 5 h"),
    ],
)
def test_durations_are_said_with_their_two_largest_units(seconds: float, words: str) -> None:
    assert cells.duration(seconds) == words
