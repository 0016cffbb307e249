"""What `make test` leaves out, and what it does not."""

from __future__ import annotations

import re

import pytest

from tests import tiers


@pytest.mark.parametrize("name", [*tiers.THOROUGH, *tiers.WHOLE])
def test_each_name_of_the_table_is_there(name: str) -> None:
    path, _, test = name.partition("::")
    found = tiers.ROOT / path

    assert found.exists()
    assert not test or f"def {test}(" in found.read_text()


def test_the_whole_stays_and_the_rest_of_acceptance_goes() -> None:
    assert tiers.is_thorough("tests/acceptance/chaos/test_drain.py::test_one[a]")
    assert tiers.is_thorough("tests/acceptance/test_frozen.py")
    assert not any(tiers.is_thorough(f"{name}::test_one") for name in tiers.WHOLE)
    assert not tiers.is_thorough("tests/acceptances/test_one.py")


def test_the_mark_is_what_the_make_file_leaves_out() -> None:
    lines = (tiers.ROOT / "Makefile").read_text().splitlines()
    recipe = lines[next(number for number, line in enumerate(lines) if line.startswith("test:")) + 1]

    assert f'-m "{tiers.WITHOUT}"' in recipe


def test_nothing_else_gives_the_mark() -> None:
    others = [path for path in (tiers.ROOT / "tests").rglob("*.py") if re.search(r"mark[.]thorough", path.read_text())]

    assert others == [], "the table of tests/tiers.py gives it"
