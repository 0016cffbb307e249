"""The job types run in this process, against real servers: Postgres, the offline model over HTTP, the file outbox."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_django import Settings

from agentapp.models import Tenant
from tests.offline_model.conftest import model as model
from tests.offline_model.conftest import model_process as model_process
from tests.offline_model.process import OfflineModel
from tests.retrieval.conftest import fill
from tests.retrieval.conftest import provider as provider


@pytest.fixture
def outbox(settings: Settings, tmp_path: Path) -> Path:
    settings.EMAIL_BACKEND = "agentapp.delivery.outbox.EmailBackend"
    settings.EMAIL_FILE_PATH = str(tmp_path / "outbox")
    return tmp_path / "outbox"


@pytest.fixture
def agent_model(provider: OfflineModel, outbox: Path) -> OfflineModel:
    """The model that agents ask, and an outbox for what they send."""
    return provider


@pytest.fixture
def support_model(tenant: Tenant, agent_model: OfflineModel) -> OfflineModel:
    """A support team with the sample help pages, which take half a second to load; the value is the model it asks."""
    fill(tenant)
    return agent_model
