"""Uploads of a tenant, processed in this process by the same claim, perform and settle as a worker's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pytest_django import Settings

from agentapp.models import Document
from agentapp.services import uploads
from agentapp.services.principals import Principal
from agentapp.services.uploads import File
from tests import harness
from tests.offline_model.conftest import model as model
from tests.offline_model.conftest import model_process as model_process
from tests.retrieval.conftest import provider as provider

Take = Callable[..., Document]


@pytest.fixture(autouse=True)
def no_embeddings(settings: Settings) -> None:
    settings.AGENTAPP_EMBEDDING_URL = settings.AGENTAPP_EMBEDDING_MODEL = ""


@pytest.fixture
def upload(principal: Principal) -> Take:
    """Upload a file, and leave it there."""

    def send(data: bytes, source: str = "notes.md", **more: str) -> Document:
        return uploads.upload(principal, File(data, source, **more))

    return send


@pytest.fixture
def take(upload: Take) -> Take:
    """Upload a file, and process it until nothing is left to do."""

    def through(data: bytes, source: str = "notes.md", **more: str) -> Document:
        document = upload(data, source, **more)
        harness.drain()
        return Document.objects.get(pk=document.pk)

    return through


@pytest.fixture
def stored_files(settings: Settings) -> Callable[[], set[str]]:
    """Which files the store of artifacts holds."""
    folder = Path(settings.STORAGES["artifacts"]["OPTIONS"]["location"])
    before = set(folder.rglob("*")) if folder.exists() else set()
    return lambda: {str(path) for path in set(folder.rglob("*")) - before if path.is_file()}
