"""What somebody else has written becomes something that Postgres keeps, and numbers that we can use."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentapp.policies import bounds, storable
from tests.pure import quick

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=()))
    | st.binary() | st.datetimes() | st.decimals() | st.uuids() | st.complex_numbers(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner) | st.sets(st.integers()),
)  # fmt: skip


@quick
@given(anything)
def test_whatever_an_effect_answers_can_be_kept(given_value: object) -> None:
    kept = json.loads(json.dumps(storable.value(given_value), allow_nan=False))

    assert not list(storable.problems(kept))
    assert storable.value(kept) == kept


def test_values_that_json_does_not_know_stay_readable() -> None:
    given_value = {
        "at": datetime(2030, 1, 1, tzinfo=UTC), "id": UUID(int=1), "cost": Decimal("1.50"), "raw": b"a\xff", 1: {2},
        "text": "a\x00b\ud800", "not": float("nan"), "thing": object(), "long": 10**5000,
    }  # fmt: skip

    kept = storable.value(given_value)

    assert kept.pop("long").startswith("0x")
    assert kept == {
        "at": "2030-01-01T00:00:00+00:00", "id": "00000000-0000-0000-0000-000000000001", "cost": "1.50",
        "raw": "a\ufffd", "1": [2], "text": "a\ufffdb\ufffd", "not": "nan", "thing": "<object>",
    }  # fmt: skip


def test_a_value_that_holds_itself_ends() -> None:
    circle: list[object] = []
    circle.append(circle)

    json.dumps(storable.value(circle))


class Speechless(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


def test_every_error_has_words_of_a_bounded_length() -> None:
    assert storable.message(ValueError()) == "ValueError"
    assert storable.message(ValueError("a\x00b")) == "a\ufffdb"
    assert storable.message(Speechless())
    assert len(storable.message(ValueError("x" * 1_000_000))) == storable.LONGEST_MESSAGE


@pytest.mark.parametrize(
    ("given_value", "number"),
    [
        (7, 7), ("7.5", 7.5), (1e14, 3_600), (1_790_000_000, 3_600), (float("inf"), 3_600), (-3, 0), ("-inf", 0),
        (float("nan"), None), ("nan", None), ("soon", None), (None, None), ([], None), (10**400, None),
        ("1" * 5000, 3_600),
    ],
)  # fmt: skip
def test_a_number_from_outside_is_in_range_or_none(given_value: object, number: float | None) -> None:
    assert bounds.number(given_value, most=3_600) == number


@pytest.mark.parametrize(
    ("given_value", "number"),
    [
        (7, 7), ("7", 7), (7.9, 7), (0, None), (1_001, None), ("9" * 5_000, None), (10**500, None), ("٣", None),
        (float("nan"), None), (float("inf"), None), ("7.5", None), ("-7", None), (True, None), (None, None), ("", None),
    ],
)  # fmt: skip
def test_a_whole_number_from_outside_is_in_range_or_none(given_value: object, number: int | None) -> None:
    assert bounds.whole(given_value, least=1, most=1_000) == number


def test_the_path_of_an_item_stays_short_however_long_the_names_above_it_are() -> None:
    found = list(storable.problems({"k" * 900_000: {"l" * 900: ["\x00"] * 3}}))

    assert len(found) == 3
    assert all(len(path) < 3 * storable.LONGEST_PATH for path, _ in found)
