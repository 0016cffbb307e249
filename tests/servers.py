"""One Postgres and one Valkey for a whole test run, started before Django reads its settings.

A pytest plugin (`-p tests.servers`, in pyproject.toml). `AGENTAPP_TEST_DATABASE_URL` and `AGENTAPP_TEST_REDIS_URL` name
servers of your own instead. With `-n` the controller starts the servers; each worker takes a Redis database of its
own, pytest-django gives it a Postgres database of its own.
"""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest
import redis

from agentapp.local import ports
from agentapp.local.postgres import EmbeddedPostgres
from agentapp.local.servers import start_servers, stop_servers
from agentapp.local.supervisor import Supervisor
from agentapp.local.valkey import EmbeddedValkey

DATABASE_VARIABLE = "AGENTAPP_TEST_DATABASE_URL"
REDIS_VARIABLE = "AGENTAPP_TEST_REDIS_URL"
_UNSET = ("OPENAI_API_KEY", "OPENAI_BASE_URL", "EMAIL_URL", "AGENTAPP_EXTENSIONS", "AGENTAPP_EMBEDDING_URL")


class Servers:
    """The servers of this run; what the environment names already is left alone."""

    def __init__(self, *, durable: bool) -> None:
        # Short, because a socket's path is; directly under the system's temporary directory.
        self.home = Path(tempfile.mkdtemp(prefix="agentapp-test-"))
        self._supervisor = Supervisor(logs=self.home / "logs")
        self._durable = durable

    def start(self) -> None:
        postgres = valkey = None
        if DATABASE_VARIABLE not in os.environ:
            postgres = EmbeddedPostgres(self.home, durable=self._durable)
            os.environ[DATABASE_VARIABLE] = postgres.url
        if REDIS_VARIABLE not in os.environ:
            valkey = EmbeddedValkey(
                self.home, port=ports.free(1)[0], password=secrets.token_hex(16), durable=self._durable
            )
            os.environ[REDIS_VARIABLE] = valkey.url
        start_servers(self._supervisor, logs=self.home / "logs", postgres=postgres, valkey=valkey)

    def stop(self) -> None:
        stop_servers(self._supervisor)
        self._supervisor.close()
        shutil.rmtree(self.home, ignore_errors=True)


_servers: Servers | None = None


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--durable", action="store_true", help="let the embedded test servers flush to the disk")


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(early_config: pytest.Config, args: list[str]) -> Generator[None]:
    """Start the servers ahead of pytest-django, which reads the settings in this hook."""
    global _servers
    if not {"-h", "--help", "--version", "-V"} & set(args):
        worker = os.environ.get("PYTEST_XDIST_WORKER", "")
        if not worker:
            _servers = Servers(durable="--durable" in args)
            _servers.start()
            os.environ["AGENTAPP_HOME"] = str(_servers.home / "home")
        _point_settings_at_servers(worker)
    yield


def _point_settings_at_servers(worker: str) -> None:
    for name in _UNSET:
        os.environ.pop(name, None)
    os.environ["DATABASE_URL"] = os.environ[DATABASE_VARIABLE]
    # gw0 -> database 1 and so on; database 0 is the run's without -n.
    number = int(worker.removeprefix("gw")) + 1 if worker else 0
    os.environ["REDIS_URL"] = urlunsplit(urlsplit(os.environ[REDIS_VARIABLE])._replace(path=f"/{number}"))
    if worker:
        os.environ["AGENTAPP_HOME"] = f"{os.environ['AGENTAPP_HOME']}-{worker}"
    # `up` collects the assets there; whitenoise warns of its absence at every request's end.
    (Path(os.environ["AGENTAPP_HOME"]) / "static").mkdir(parents=True, exist_ok=True)


def pytest_unconfigure(config: pytest.Config) -> None:
    global _servers
    if _servers is not None:
        _servers.stop()
        _servers = None


@pytest.fixture
def broker() -> Iterator[redis.Redis]:
    """A client of this run's Valkey, emptied before the test."""
    client = redis.Redis.from_url(os.environ["REDIS_URL"])
    client.flushdb()
    yield client
    client.close()


@pytest.fixture
def process_env(transactional_db: None) -> dict[str, str]:
    """The environment of processes that a test starts: this test's database, its broker and its home."""
    from django.db import connection

    name = str(connection.settings_dict["NAME"])
    database = urlunsplit(urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{name}"))
    return {**os.environ, "DATABASE_URL": database, "PYTHONUNBUFFERED": "1"}
