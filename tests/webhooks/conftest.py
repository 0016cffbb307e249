from __future__ import annotations

import ipaddress
from collections.abc import Iterator

import pytest
from pytest_django import Settings

from tests.delivery import receiver
from tests.delivery.receiver import Receiver, receiving


@pytest.fixture(autouse=True)
def loopback_is_allowed(settings: Settings) -> None:
    """As an operator sets it whose receivers are in the same network."""
    settings.AGENTAPP_WEBHOOK_ALLOWED_NETWORKS = [ipaddress.ip_network("127.0.0.0/8")]


@pytest.fixture
def well() -> Iterator[Receiver]:
    """A receiver that answers as it should."""
    with receiving(receiver.status(200)) as listening:
        yield listening
