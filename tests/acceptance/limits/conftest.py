from __future__ import annotations

from collections.abc import Iterator

import pytest
from pytest_django import DjangoDbBlocker

from tests import parallel
from tests.acceptance.deployment import open_deployment, until
from tests.acceptance.limits.floor import ENVIRONMENT, FLOOR, SLOTS, Floor, commands


@pytest.fixture(scope="session")
def running_floor(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Floor]:
    with django_db_blocker.unblock(), parallel.kept("running_floor") as opened:
        deployment = opened.enter_context(open_deployment(commands(), alias=FLOOR, env=ENVIRONMENT))
        floor = Floor(deployment)
        until(lambda: floor.slots() == SLOTS, "all workers are there")
        yield floor


@pytest.fixture
def floor(running_floor: Floor, django_db_blocker: DjangoDbBlocker) -> Iterator[Floor]:
    """Four worker processes of four threads, without gates; what a test leaves behind is cancelled."""
    with django_db_blocker.unblock():
        running_floor.clear()
        yield running_floor
        running_floor.clear()
