"""The client adapter talks to a real server process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pytest_django import Settings

from tests.offline_model.process import OfflineModel


@pytest.fixture(scope="session")
def model_process() -> Iterator[OfflineModel]:
    with OfflineModel() as process:
        yield process


@pytest.fixture
def provider(model_process: OfflineModel, settings: Settings) -> OfflineModel:
    """The server that the settings name, without the faults of other tests."""
    model_process.reset()
    settings.AGENTAPP_MODEL = "offline"
    settings.AGENTAPP_MODEL_BASE_URL = model_process.url
    settings.AGENTAPP_MODEL_API_KEY = "a-key"
    settings.AGENTAPP_MODEL_TIMEOUT_S = 20
    settings.AGENTAPP_EMBEDDING_URL = model_process.url
    settings.AGENTAPP_EMBEDDING_KEY = "a-key"
    settings.AGENTAPP_EMBEDDING_MODEL = "wordllama-l2-supercat-256"
    return model_process
