"""The sample knowledge base, loaded with real embeddings over HTTP."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_django import Settings

from agentapp.models import Tenant
from agentapp.policies.permissions import API_SCOPES
from agentapp.retrieval import chunking
from agentapp.services import documents
from agentapp.services.principals import Principal
from tests.offline_model.conftest import model as model
from tests.offline_model.conftest import model_process as model_process
from tests.offline_model.process import OfflineModel

KNOWLEDGE = Path(__file__).parent / "knowledge"


@pytest.fixture
def provider(model: OfflineModel, settings: Settings) -> OfflineModel:
    """The offline model server, as the provider of completions and embeddings."""
    settings.AGENTAPP_MODEL_BASE_URL = settings.AGENTAPP_EMBEDDING_URL = model.url
    settings.AGENTAPP_MODEL = settings.AGENTAPP_EMBEDDING_MODEL = "offline"
    return model


@pytest.fixture
def no_embeddings(settings: Settings) -> None:
    settings.AGENTAPP_EMBEDDING_URL = settings.AGENTAPP_EMBEDDING_MODEL = ""


def fill(tenant: Tenant) -> None:
    """Load the sample help pages for a tenant, embedded by whatever is configured."""
    operator = Principal(scopes=frozenset(API_SCOPES), tenant_ids=None)
    for path in sorted(KNOWLEDGE.iterdir()):
        text = path.read_text()
        title = chunking.first_heading(text) or "Getting help"
        documents.load(operator, source=path.name, title=title, text=text, tenant_id=tenant.pk)
