"""The servers of a test run, started before Django reads its settings.

A pytest plugin (`-p tests.servers`, in pyproject.toml). One Postgres serves the whole run. Every process that runs
tests, the only one or each of `-n`, has a database of its own there and a Valkey of its own: FLUSHALL in one disturbs
no other. `AGENTAPP_TEST_DATABASE_URL` and `AGENTAPP_TEST_REDIS_URL` name servers of your own instead.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from collections.abc import Generator, Iterator
from urllib.parse import urlsplit, urlunsplit

import pytest
import redis

from agentapp.local import ports
from agentapp.local.postgres import EmbeddedPostgres
from agentapp.local.servers import start_servers, stop_servers
from agentapp.local.supervisor import Supervisor
from agentapp.local.valkey import EmbeddedValkey
from tests import homes, template

DATABASE_VARIABLE = "AGENTAPP_TEST_DATABASE_URL"
REDIS_VARIABLE = "AGENTAPP_TEST_REDIS_URL"
# Set by the process that has started Postgres, for the workers that xdist starts.
_POSTGRES_OF_THE_RUN = "AGENTAPP_TEST_POSTGRES_OF_THE_RUN"
_UNSET = ("OPENAI_API_KEY", "OPENAI_BASE_URL", "EMAIL_URL", "AGENTAPP_EXTENSIONS", "AGENTAPP_EMBEDDING_URL")


class Servers:
    """The servers of one process; what the environment names already is left alone."""

    def __init__(self, *, durable: bool) -> None:
        self.home = homes.make()
        self._supervisor = Supervisor(logs=self.home / "logs")
        self._durable = durable
        self.database_url = os.environ.get(DATABASE_VARIABLE) or os.environ.get(_POSTGRES_OF_THE_RUN, "")
        self.redis_url = os.environ.get(REDIS_VARIABLE, "")
        self._template: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        postgres = valkey = None
        if not self.database_url:
            postgres = EmbeddedPostgres(self.home, durable=self._durable)
            self.database_url = os.environ[_POSTGRES_OF_THE_RUN] = postgres.url
        if not self.redis_url:
            valkey = EmbeddedValkey(
                self.home, port=ports.free(1)[0], password=secrets.token_hex(16), durable=self._durable
            )
            self.redis_url = valkey.url
        start_servers(self._supervisor, logs=self.home / "logs", postgres=postgres, valkey=valkey)

    def make_template(self) -> None:
        """Start to migrate the database that workers copy."""
        self._template = template.begin(self.home)

    def stop(self) -> None:
        if self._template is not None:
            self._template.kill()
            self._template.wait()
        stop_servers(self._supervisor)
        self._supervisor.close()
        os.environ.pop(_POSTGRES_OF_THE_RUN, None)
        shutil.rmtree(self.home, ignore_errors=True)


_servers: Servers | None = None


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--durable", action="store_true", help="let the embedded test servers flush to the disk")


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(early_config: pytest.Config, args: list[str]) -> Generator[None]:
    """Start the servers ahead of pytest-django, which reads the settings in this hook."""
    global _servers
    if not {"-h", "--help", "--version", "-V"} & set(args):
        _servers = Servers(durable="--durable" in args)
        _servers.start()
        _point_settings_at(_servers)
        is_worker = "PYTEST_XDIST_WORKER" in os.environ
        has_workers = bool(early_config.known_args_namespace.numprocesses) and not is_worker
        if has_workers and DATABASE_VARIABLE not in os.environ:
            _servers.make_template()
    yield


def _point_settings_at(servers: Servers) -> None:
    # Processes that tests start would each compile our code again.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    for name in _UNSET:
        os.environ.pop(name, None)
    os.environ["DATABASE_URL"] = servers.database_url
    # A server that several workers share: gw0 -> database 1 and so on; database 0 is the run's without -n.
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    number = int(worker.removeprefix("gw")) + 1 if worker and REDIS_VARIABLE in os.environ else 0
    os.environ["REDIS_URL"] = urlunsplit(urlsplit(servers.redis_url)._replace(path=f"/{number}"))
    os.environ["AGENTAPP_HOME"] = str(servers.home / "home")
    # `up` collects the assets there; whitenoise warns of its absence at every request's end.
    (servers.home / "home" / "static").mkdir(parents=True, exist_ok=True)


def pytest_unconfigure(config: pytest.Config) -> None:
    global _servers
    if _servers is not None:
        _servers.stop()
        _servers = None


@pytest.fixture
def broker() -> Iterator[redis.Redis]:
    """A client of this process's Valkey, emptied before the test."""
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
