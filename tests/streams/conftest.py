"""Web processes with streams, and keys to open them with."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from agentapp import redaction
from agentapp.dispatch.optional_redis import OptionalRedis
from agentapp.local import ports
from agentapp.models import ApiKey, Tenant
from agentapp.policies.permissions import API_SCOPES
from agentapp.runtime import preview
from agentapp.services import api_keys
from tests.api.live import START_S, Web, environment, serving

POOLED = {"AGENTAPP_DB_POOL_MAX": "4"}


@pytest.fixture(autouse=True)
def patient_previews(monkeypatch: pytest.MonkeyPatch) -> None:
    """The broker of a busy machine has its time: a worker would leave the text alone for a while."""
    monkeypatch.setattr(preview, "_server", OptionalRedis(120.0))


@pytest.fixture(scope="module")
def web(django_db_setup: None) -> Iterator[Web]:
    """A web process on the database and the broker of the tests."""
    with serving(environment() | POOLED) as running:
        yield running


@dataclass
class Served:
    """A web process of its own, to be stopped."""

    process: subprocess.Popen[bytes]
    web: Web

    @property
    def port(self) -> int:
        return self.web.port


@contextmanager
def serve(*arguments: str, port: int | None = None, env: dict[str, str] | None = None) -> Iterator[Served]:
    """Run a web process until the block ends, or it does."""
    web = Web(port or ports.free(1)[0])
    command = [
        sys.executable,
        "-m",
        "uvicorn",
        "config.asgi:application",
        "--host",
        ports.HOST,
        "--port",
        str(web.port),
    ]
    process = subprocess.Popen(
        [*command, "--no-access-log", "--log-level", "warning", *arguments], env=environment() | POOLED | (env or {})
    )
    try:
        deadline = time.monotonic() + START_S
        while not _answers(web):
            assert process.poll() is None, "the web process ended while it started"
            assert time.monotonic() < deadline, "the web process does not answer"
            time.sleep(0.05)
        yield Served(process, web)
    finally:
        process.kill()
        process.wait()


def _answers(web: Web) -> bool:
    try:
        return web.ask("GET", "/healthz")[0] == 200
    except OSError:
        return False


@pytest.fixture
def make_key(tenant: Tenant, other_tenant: Tenant) -> Callable[..., tuple[ApiKey, str]]:
    def make(of: Tenant = tenant, *scopes: str) -> tuple[ApiKey, str]:
        return api_keys.create(tenant=of, name="test", scopes=list(scopes or API_SCOPES))

    return make


@pytest.fixture
def token(make_key: Callable[..., tuple[ApiKey, str]]) -> str:
    return make_key()[1]


@pytest.fixture(autouse=True)
def no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a text that is shown while it is written, an end is held back that may become a secret. The secrets of this
    process are random: one may begin with the last letter of a test's text."""
    monkeypatch.setattr(redaction, "_values", {})
    monkeypatch.setattr(redaction, "_forms", ())
