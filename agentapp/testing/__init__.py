"""A pytest plugin for packages of your own: run their jobs, tools and workflows in the process of a test.

    [tool.pytest.ini_options]
    addopts = ["-p", "agentapp.testing"]
    agentapp_extensions = ["my_company.agents"]

It starts a Postgres and a Valkey before Django reads its settings, and the offline model for the first test that asks
for the fixture `platform`; see agentapp/testing/platform.py for what that can do. Nothing here imports the models:
settings are not read yet.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from agentapp.testing.offline_model import OfflineModel
from agentapp.testing.scripts import Turn as Turn
from agentapp.testing.scripts import call as call
from agentapp.testing.servers import Servers

if TYPE_CHECKING:
    from agentapp.testing.platform import Platform

_servers: Servers | None = None


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addini("agentapp_extensions", "the packages under test, as AGENTAPP_EXTENSIONS names them", type="args")


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(early_config: pytest.Config, args: list[str]) -> Generator[None]:
    """Start the servers ahead of pytest-django, which reads the settings in this hook."""
    global _servers
    if not {"-h", "--help", "--version", "-V"} & set(args):
        _servers = Servers(Path(tempfile.mkdtemp(prefix="agentapp-test-")))
        _servers.start()
        _servers.point_settings_at()
        os.environ["AGENTAPP_EXTENSIONS"] = ",".join(early_config.getini("agentapp_extensions"))
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
        # The package is imported with the settings, which may be before pytest itself has made its path known.
        sys.path[:0] = [str(path) for path in early_config.getini("pythonpath") or [early_config.rootpath]]
    yield


def pytest_unconfigure(config: pytest.Config) -> None:
    global _servers
    if _servers is not None:
        _servers.stop()
        shutil.rmtree(_servers.home, ignore_errors=True)
        _servers = None


@pytest.fixture(scope="session")
def offline_model() -> Iterator[OfflineModel]:
    """The offline model server, for all tests."""
    with OfflineModel() as model:
        yield model


@pytest.fixture
def platform(db: None, settings: Any, tmp_path: Path, offline_model: OfflineModel) -> Iterator[Platform]:
    """What a test runs jobs, tools and workflows by; nothing is left of it after the test."""
    from agentapp.testing import platform as fixture

    offline_model.reset()
    settings.AGENTAPP_MODEL_BASE_URL = settings.AGENTAPP_EMBEDDING_URL = offline_model.url
    settings.AGENTAPP_MODEL = settings.AGENTAPP_EMBEDDING_MODEL = "offline"
    settings.EMAIL_BACKEND = "agentapp.delivery.outbox.EmailBackend"
    settings.EMAIL_FILE_PATH = str(tmp_path / "outbox")
    # Steps follow each other in place however long they take.
    settings.AGENTAPP_IN_PLACE_BUDGET_S = 3_600.0
    with fixture.opened(offline_model) as opened:
        yield opened
