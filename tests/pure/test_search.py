"""What somebody types to find tasks, as a query."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentapp.policies import search


@pytest.mark.parametrize(
    ("text", "expression"),
    [
        ("", ""),
        ("lost parcel", "('lost') & ('parcel':*)"),
        ("lost parcel ", "('lost') & ('parcel')"),
        ("parc* lost ", "('parc':*) & ('lost')"),
        ('"late delivery" refund', "('late' <-> 'delivery') & ('refund':*)"),
        ('"not closed', "('not' <-> 'closed')"),
        ("parcel -lost", "('parcel') & !('lost')"),
        ('parcel -"lost again"', "('parcel') & !('lost' <-> 'again')"),
        ("anna@example.org", "('anna' <-> 'example' <-> 'org':*)"),
        ("退款 now ", "('退' <-> '款') & ('now')"),
        ("a", "('a')"),
        ("'x' & \\y | !z :* <-> ", "('x') & ('y') & ('z')"),
        ('*** -- \x00 ""', ""),
    ],
)
def test_words_phrases_beginnings_and_what_must_not_be_there(text: str, expression: str) -> None:
    assert search.expression(text) == expression


@given(st.text(st.characters(), max_size=300))
def test_no_character_of_a_text_reaches_the_language_of_queries(text: str) -> None:
    assert not set("".join(search.words(text))) & set("'\\:&|!()<>* \x00\t\n\ud800")
    assert search.expression(text).count("'") % 2 == 0


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("019a0000-0000-7000-8000-00000000000f", "019a00000000700080000000" + "0000000f"),
        ("019A0000", "019a0000" + "0" * 24),
        ("019a000", None),
        ("019a0000 ab", None),
        ("0" * 33, None),
        ("invoices", None),
    ],
)
def test_the_beginning_of_an_id_is_a_range_of_ids(text: str, first: str | None) -> None:
    found = search.id_range(text)
    assert (found[0] if found else None) == first
