"""Whom a fact is about."""

from __future__ import annotations

import sys
import unicodedata

from agentapp.policies import facts


def test_an_address_is_the_same_in_any_case_and_with_any_space_around_it() -> None:
    assert facts.about(" Ada@Example.TEST\t") == "ada@example.test"
    assert facts.about("Ünal@example.test") == facts.about("ünal@example.test")


def test_letters_with_their_accents_apart_are_the_same() -> None:
    assert facts.about("U\N{COMBINING DIAERESIS}nal@example.test") == facts.about("ünal@example.test")
    assert facts.digest("Lives in Z\u00fcrich.") == facts.digest("lives in  Zu\N{COMBINING DIAERESIS}rich")


def test_texts_of_different_meaning_are_different_facts() -> None:
    assert facts.digest("Has 10² shops.") != facts.digest("Has 102 shops.")


def test_no_two_characters_become_one_that_are_not_cases_of_a_letter() -> None:
    """Facts about one customer never belong to another whose address only looks alike, such as by a kelvin sign."""
    cases: dict[str, set[str]] = {}
    for character in map(chr, range(sys.maxunicode + 1)):
        # One that means nothing yet has no cases and no accents. They are three of four.
        if unicodedata.category(character) not in {"Cn", "Co"} and (kept := facts.about(f"a{character}b")) != "a b":
            cases.setdefault(kept, set()).add(character)
    assert all(len({one.upper() for one in same}) == 1 for same in cases.values() if len(same) > 1)
    assert facts.about("mar\N{KELVIN SIGN}@example.test") != facts.about("mark@example.test")
