from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_django import DjangoDbBlocker

from tests import parallel
from tests.acceptance.deployment import Deployment, commands, open_deployment
from tests.browser import browser as browser
from tests.browser import page as page

# Long enough to be split into chunks, and plain enough for the offline model to answer from.
GUIDE = Path(__file__).parents[1] / "retrieval" / "knowledge" / "invoices.md"


@pytest.fixture(scope="session")
def running_deployment(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Deployment]:
    """One for all acceptance tests: starting it takes longer than most of them.

    The test databases come first: they are made for every database that Django knows, without the deployment's own.
    """
    with django_db_blocker.unblock(), parallel.kept("running_deployment") as opened:
        deployment = opened.enter_context(open_deployment(commands()))
        guide = {"source": "guide", "title": "Invoices", "text": GUIDE.read_text()}
        loaded = deployment.ask("POST", "/documents", guide)
        assert loaded.status_code in {200, 201}, loaded.text
        yield deployment


@pytest.fixture
def deployment(running_deployment: Deployment, django_db_blocker: DjangoDbBlocker) -> Iterator[Deployment]:
    """The running deployment, with a model server that is well. Its database is its own, so nothing is rolled back."""
    with django_db_blocker.unblock():
        running_deployment.reset()
        yield running_deployment
        running_deployment.reset()
