"""A customer is named by their name as a word of its own, in each case and script, and by no other name."""

from __future__ import annotations

import json
import random
import re
import unicodedata

import pytest

from agentapp.policies import facts, naming
from agentapp.policies.naming import Names

# Who is looked for, and a text that names them.
NAMING = (
    ("STRASSE", "in der Straße."), ("Weiß", "WEISS"), ("weiss", "WEI\u1e9e"), ("Steffi", "an Ste\ufb03"),
    ("Massstab", "MASSSTAB"), ("Massstab", "Maßstab"), ("Kelvin", "\u212aelvin"),
    ("ΓΙΏΡΓΟΣ", "Γιώργος,"), ("Οδυσσέας", "ΟΔΥΣΣΈΑΣ"), ("Мария", "МАРИЯ,"), ("ՍԵՐԳԵԵՒ", "Սերգեև"),
    ("თამარი", "ᲗᲐᲛᲐᲠᲘ"), ("İnönü", "İNÖNÜ"), ("RENÉE", unicodedata.normalize("NFD", "Renée")),
    (unicodedata.normalize("NFD", "Nguyễn"), "NGUYỄN"), ("김민준오윤", unicodedata.normalize("NFD", "김민준오윤은")),
    ("山田太郎子", "山田太郎子さん"), ("أحمد علي", "وأحمد\nعلي"), ("Anna Lee", "Dear Anna\n Lee,"),
    ("Anna Lee", "Anna\u00a0Lee"),
    ("Việt", "VI\u00ca\u0323T,"), ("Vi\u00ea\u0323t", "Việt"), ("e\u0331\u0302lie", "\u00ea\u0331lie"),
    ("Anna Lee", "q=Anna+Lee"), ("Renée", "q=ren%C3%89e"), ("ann@x.test", "<ANN%40x.test>"),
    ('Anna "Bo"', 'anna "bo"!'),
    ("anna\\lee", "Anna\\Lee"), ("!?!?!", "what? !?!?!"), ("anna lee", "山Anna Lee太"), ("Anna Lee", "≠Anna Lee"),
)  # fmt: skip
OTHERS = (
    ("ann@x.test", "joann@x.test"), ("ann@x.test", "ann@x.test.org"), ("ann@x.test", "éann@x.test"),
    ("Мария", "Марияна"), ("Renee", "Renée"), ("Renee", "Rene\u0301e"), ("Renee", "Renee\u0301"),
    ("Maßstab", "Masstab"),
    ("Müller", "Muller"), ("Müller", "Müllers"), ("γιώργος", "γιωργος"), ("Anna Lee", "AnnaLee"),
    ("김민준오유", "김민준오가"), ("김민준오유", "김민준오윤"), ("山田たろうか", "山田たろうが"), ("Việt", "Viêt"),
)  # fmt: skip


def names(customer: str, text: str) -> bool:
    """What the pattern says, and what is said where many are looked for."""
    about = facts.about(customer)
    found = bool(re.search(naming.pattern(about), naming.decomposed(text)))
    assert Names([about, "somebody else"]).found_in([text]) == ({about} if found else set())
    return found


@pytest.mark.parametrize(("customer", "text"), NAMING)
def test_a_text_names_them(customer: str, text: str) -> None:
    assert names(customer, text)
    assert names(customer, json.dumps({"text": f"Dear\n{text}"}, ensure_ascii=False))


@pytest.mark.parametrize(("customer", "text"), OTHERS)
def test_a_text_names_somebody_else(customer: str, text: str) -> None:
    assert not names(customer, text)


def test_what_is_worth_asking_leaves_nobody_out() -> None:
    chance = random.Random(7)
    letters = 'aAeEsSßẞéÉ\u0301ςΣиИйあ山خد가각\u1100\u1161 \n\\n"%.-1_'
    plain = "aAnNsS \n\\n+._-@\u017f\u0301"

    def some(most: int, letters: str) -> str:
        return "".join(chance.choices(letters, k=chance.randint(1, most)))

    found = 0
    for made_of in [letters] * 300 + [plain] * 300:
        about = facts.about(some(4, made_of)) or "a"
        text = chance.choice(["", " ", "é", "x"]).join(
            [some(3, made_of), chance.choice([about, about.upper()]), some(3, made_of)]
        )
        text = chance.choice([text, json.dumps(text, ensure_ascii=False)])
        is_named = bool(re.search(naming.pattern(about), naming.decomposed(text)))
        assert Names([about]).found_in([text]) == ({about} if is_named else set()), (about, text)
        found += is_named
    assert 100 < found < 500


def test_names_that_fold_to_the_same_are_the_same() -> None:
    assert naming.folded("STRASSE") == naming.folded("straße") != naming.folded("strase")
    assert naming.folded("RENE\u0301E") == "renée"
    # A name that nobody has takes no time.
    assert re.search(naming.pattern("s" * 60), "S" * 60) and not re.search(naming.pattern("s" * 60), "s" * 59)


def test_of_many_names_few_are_asked() -> None:
    """Each would cost a hundredth of a second per text."""
    many = [f"First{first} Last{last}" for first in range(40) for last in range(40)]
    naming.pattern.cache_clear()
    found = Names(many).found_in(["first3 and last4 of example.org", "From: FIRST7 Last7", "last5, first6"])
    # A name is asked for where all of its words stand in texts that are looked through together.
    # And where they stand in a row. An address is found without asking.
    assert found == {"First7 Last7"} and naming.pattern.cache_info().misses == 0
    addresses = [f"user{number}@example.org" for number in range(200)]
    named, lines = Names(addresses), "\n".join(f"{number};<{each}>" for number, each in enumerate(addresses))
    assert named.found_in([lines]) == {*addresses} and len(named.found_in([lines.upper()], most=2)) == 2
    assert named.found_in([lines.replace("@", " ").replace("user", "user ")]) == set()
    # Nor are those that are nearly named: the end of another address, and a longer name.
    for near in ("x.{}", "{}-a", "é.{}"):
        assert named.found_in(["\n".join(near.format(each) for each in addresses)]) == set()
    assert naming.pattern.cache_info().misses == 0
