"""The servers of a test run, started before Django reads its settings.

A pytest plugin (`-p tests.servers`, in pyproject.toml). One Postgres serves the whole run. Every process that runs
tests, the only one or each of `-n`, has a database of its own there and a Valkey of its own: FLUSHALL in one disturbs
no other. `AGENTAPP_TEST_DATABASE_URL` and `AGENTAPP_TEST_REDIS_URL` name servers of your own instead.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Generator, Iterator
from urllib.parse import urlsplit, urlunsplit

import pytest
import redis

from agentapp.testing.servers import DATABASE_VARIABLE, REDIS_VARIABLE, Servers
from tests import homes, template

# Set by the process that has started Postgres, for the workers that xdist starts.
_POSTGRES_OF_THE_RUN = "AGENTAPP_TEST_POSTGRES_OF_THE_RUN"


class Run(Servers):
    """The servers of one process of a run, which share their Postgres."""

    def __init__(self, *, durable: bool) -> None:
        super().__init__(homes.make(), durable=durable, database_url=os.environ.get(_POSTGRES_OF_THE_RUN, ""))
        self._template: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        super().start()
        if DATABASE_VARIABLE not in os.environ:
            os.environ[_POSTGRES_OF_THE_RUN] = self.database_url

    def make_template(self) -> None:
        """Start to migrate the database that workers copy."""
        self._template = template.begin(self.home)

    def stop(self) -> None:
        if self._template is not None:
            self._template.kill()
            self._template.wait()
        super().stop()
        os.environ.pop(_POSTGRES_OF_THE_RUN, None)
        shutil.rmtree(self.home, ignore_errors=True)


_servers: Run | None = None


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--durable", action="store_true", help="let the embedded test servers flush to the disk")


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(early_config: pytest.Config, args: list[str]) -> Generator[None]:
    """Start the servers ahead of pytest-django, which reads the settings in this hook."""
    global _servers
    if not {"-h", "--help", "--version", "-V"} & set(args):
        _servers = Run(durable="--durable" in args)
        _servers.start()
        _point_settings_at(_servers)
        is_worker = "PYTEST_XDIST_WORKER" in os.environ
        has_workers = bool(early_config.known_args_namespace.numprocesses) and not is_worker
        if has_workers and DATABASE_VARIABLE not in os.environ:
            _servers.make_template()
    yield


def _point_settings_at(servers: Run) -> None:
    servers.point_settings_at()
    # A server that several workers share: gw0 -> database 1 and so on; database 0 is the run's without -n.
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    number = int(worker.removeprefix("gw")) + 1 if worker and REDIS_VARIABLE in os.environ else 0
    os.environ["REDIS_URL"] = urlunsplit(urlsplit(servers.redis_url)._replace(path=f"/{number}"))


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
