"""The client adapter talks to a real server process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pytest_django import Settings

from agentapp.llm import learned
from tests.llm.odd_server import Odd, OddServer
from tests.offline_model.process import OfflineModel


@pytest.fixture(scope="session")
def model_process() -> Iterator[OfflineModel]:
    with OfflineModel() as process:
        yield process


@pytest.fixture
def provider(db: None, model_process: OfflineModel, settings: Settings) -> Iterator[OfflineModel]:
    """The server that the settings name, without the faults of other tests and what they have taught us."""
    model_process.reset()
    learned.forget()
    settings.AGENTAPP_MODEL = "offline"
    settings.AGENTAPP_MODEL_BASE_URL = model_process.url
    settings.AGENTAPP_MODEL_API_KEY = "a-key"
    settings.AGENTAPP_MODEL_TIMEOUT_S = 20
    settings.AGENTAPP_EMBEDDING_URL = model_process.url
    settings.AGENTAPP_EMBEDDING_KEY = "a-key"
    settings.AGENTAPP_EMBEDDING_MODEL = "wordllama-l2-supercat-256"
    yield model_process
    learned.forget()


@pytest.fixture(scope="session")
def odd_process() -> Iterator[OddServer]:
    with OddServer() as server:
        yield server


@pytest.fixture
def odd(db: None, odd_process: OddServer, settings: Settings) -> Iterator[OddServer]:
    """A provider that answers what the test says; nothing is known about it yet."""
    learned.forget()
    odd_process.requests.clear()
    odd_process.answer = lambda _: Odd(status=500)
    settings.AGENTAPP_MODEL = settings.AGENTAPP_EMBEDDING_MODEL = "odd"
    settings.AGENTAPP_MODEL_BASE_URL = settings.AGENTAPP_EMBEDDING_URL = odd_process.url
    settings.AGENTAPP_MODEL_API_KEY = settings.AGENTAPP_EMBEDDING_KEY = "a-key"
    yield odd_process
    learned.forget()
