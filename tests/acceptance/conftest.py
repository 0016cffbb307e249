from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_django import DjangoDbBlocker

from tests.acceptance.house import House, commands, open_house
from tests.browser import browser as browser
from tests.browser import page as page

# Long enough to be split into chunks, and plain enough for the offline model to answer from.
GUIDE = Path(__file__).parents[1] / "retrieval" / "knowledge" / "invoices.md"


@pytest.fixture(scope="session")
def running_house(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[House]:
    """One for all acceptance tests: starting it takes longer than most of them.

    The test databases come first: they are made for every database that Django knows, and the house's is none of them.
    """
    with django_db_blocker.unblock(), open_house(commands()) as house:
        guide = {"source": "guide", "title": "Invoices", "text": GUIDE.read_text()}
        loaded = house.ask("POST", "/documents", guide)
        assert loaded.status_code in {200, 201}, loaded.text
        yield house


@pytest.fixture
def house(running_house: House, django_db_blocker: DjangoDbBlocker) -> Iterator[House]:
    """The running house, with a model server that is well. Its database is its own, so nothing is rolled back."""
    with django_db_blocker.unblock():
        running_house.reset()
        yield running_house
        running_house.reset()
