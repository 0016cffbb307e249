"""Brokers for tests: a server of each kind, with a home of its own, which can be stopped and can lose what it holds."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit, urlunsplit
from urllib.request import urlopen
from uuid import uuid4

import amqp
import psycopg
import pytest

from agentapp.local import ports
from agentapp.local.stack import CHECKOUT
from tests import homes
from tests.acceptance.waiting import until

# Names the broker on which acceptance tests run; unset: the Valkey of the stack.
VARIABLE = "AGENTAPP_TEST_BROKER"
RABBITMQ = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
VENV = CHECKOUT / ".venv-brokers"
PACKAGES = VENV / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
# One scheduler that sleeps where there is nothing to do: as little of the processors as an Erlang server can take.
ERLANG = "+S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none"
CONFIGURATION = """
listeners.tcp.1 = 127.0.0.1:{port}
log.console = true
log.console.level = warning
log.file = false
vm_memory_high_watermark.absolute = 512MB
disk_free_limit.absolute = 1MB
"""


class Server(Protocol):
    """`url` is what BROKER_URL says; `env` is what processes need beside it."""

    url: str
    env: dict[str, str]

    def start(self) -> None: ...
    def stop(self) -> None: ...
    def forget(self) -> None:
        """Throw away what it holds, while it is stopped."""


class _Process:
    def __init__(self, argv: list[str], *, env: dict[str, str], log: Path) -> None:
        with log.open("ab") as file:
            self._popen = subprocess.Popen(argv, env=env, stdout=file, stderr=subprocess.STDOUT, start_new_session=True)
        self._log = log

    def is_up(self, answers: Callable[[], object]) -> bool:
        assert self._popen.poll() is None, self._log.read_text(errors="replace")
        return bool(answers())

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._popen.pid, signal.SIGKILL)
        self._popen.wait()


class RabbitMQ:
    """Debian's server, with its files, its cookie and its epmd apart from any other of this machine."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._port, distribution, epmd = ports.free(3)
        self.url = f"amqp://guest:guest@127.0.0.1:{self._port}/"
        self.env: dict[str, str] = {}
        (home / "rabbitmq.conf").write_text(CONFIGURATION.format(port=self._port))
        (home / "enabled_plugins").write_text("[].\n")
        self._environ = {
            "PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8",
            "RABBITMQ_MNESIA_BASE": str(home / "mnesia"), "RABBITMQ_LOG_BASE": str(home / "log"),
            "RABBITMQ_NODENAME": f"test{self._port}@localhost", "RABBITMQ_DIST_PORT": str(distribution),
            "RABBITMQ_CONF_ENV_FILE": str(home / "none"), "RABBITMQ_CONFIG_FILE": str(home / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "enabled_plugins"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": ERLANG,
            "ERL_EPMD_PORT": str(epmd), "ERL_EPMD_ADDRESS": "127.0.0.1",
        }  # fmt: skip
        self._epmd = _Process(["epmd", "-port", str(epmd)], env=self._environ, log=home / "epmd.log")
        self._server: _Process | None = None

    def control(self, *command: str) -> str:
        """What rabbitmqctl says."""
        argv = [str(RABBITMQ.with_name("rabbitmqctl")), "--quiet", *command]
        run = subprocess.run(argv, env=self._environ, capture_output=True, text=True, timeout=120, check=False)
        assert run.returncode == 0, run.stderr + run.stdout
        return run.stdout

    def log(self) -> str:
        return (self._home / "rabbitmq.log").read_text(errors="replace")

    def start(self) -> None:
        server = self._server = _Process([str(RABBITMQ)], env=self._environ, log=self._home / "rabbitmq.log")
        until(lambda: server.is_up(self._answers), "RabbitMQ answers", poll_s=0.2)

    def stop(self) -> None:
        if self._server is not None:
            self._server.kill()
            self._server = None

    def forget(self) -> None:
        shutil.rmtree(self._home / "mnesia")

    def close(self) -> None:
        self.stop()
        self._epmd.kill()

    def _answers(self) -> bool:
        try:
            with amqp.Connection(f"127.0.0.1:{self._port}", connect_timeout=5, read_timeout=5):
                return True
        except (OSError, amqp.AMQPError):
            return False


class SQS:
    """The server of moto, which keeps all in memory."""

    def __init__(self, home: Path) -> None:
        self._log = home / "moto.log"
        (self._port,) = ports.free(1)
        self.url = f"sqs://key:secret@127.0.0.1:{self._port}/?region=us-east-1&prefix=test-&tls=0"
        self.env = {"PYTHONPATH": str(PACKAGES)}
        self._server: _Process | None = None

    def start(self) -> None:
        argv = [str(VENV / "bin" / "moto_server"), "-H", "127.0.0.1", "-p", str(self._port)]
        server = self._server = _Process(argv, env=dict(os.environ), log=self._log)
        until(lambda: server.is_up(self._answers), "moto answers")

    def stop(self) -> None:
        if self._server is not None:
            self._server.kill()
            self._server = None

    def forget(self) -> None:
        """It has."""

    def close(self) -> None:
        self.stop()

    def _answers(self) -> bool:
        with suppress(OSError), urlopen(f"http://127.0.0.1:{self._port}/moto-api/") as answer:
            return bool(answer.status == 200)
        return False


class Postgres:
    """A database for queues, on the Postgres of the test run. It is stopped by letting nobody in."""

    def __init__(self, home: Path) -> None:
        self._server = os.environ["DATABASE_URL"]
        self._name = f"queues_{uuid4().hex[:12]}"
        self.url = urlunsplit(urlsplit(self._server)._replace(path=f"/{self._name}"))
        self.env = {"PYTHONPATH": str(PACKAGES)}
        self._do(f"CREATE DATABASE {self._name}")

    def start(self) -> None:
        self._do(f"ALTER DATABASE {self._name} ALLOW_CONNECTIONS true")

    def stop(self) -> None:
        self._do(f"ALTER DATABASE {self._name} ALLOW_CONNECTIONS false")
        self._do(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{self._name}'")

    def forget(self) -> None:
        self.start()
        with psycopg.connect(self.url, autocommit=True) as session:
            session.execute("DELETE FROM kombu_message")

    def close(self) -> None:
        self._do(f"DROP DATABASE IF EXISTS {self._name} WITH (FORCE)")

    def _do(self, statement: str) -> None:
        with psycopg.connect(self._server, autocommit=True) as session:
            session.execute(statement)


KINDS: dict[str, type[RabbitMQ | SQS | Postgres]] = {"rabbitmq": RabbitMQ, "sqs": SQS, "postgres": Postgres}
# What a kind needs, and the variable that makes its absence a failure.
NEEDS = {
    "rabbitmq": (RABBITMQ, "AGENTAPP_REQUIRE_RABBITMQ", "Debian's package rabbitmq-server"),
    "sqs": (PACKAGES / "moto", "AGENTAPP_REQUIRE_BROKERS", "`sh deploy/requirements/install brokers`"),
    "postgres": (PACKAGES / "sqlalchemy", "AGENTAPP_REQUIRE_BROKERS", "`sh deploy/requirements/install brokers`"),
}


def needed(kind: str) -> None:
    """Skip the test where the server of a kind is not installed, or fail where it has to be."""
    path, variable, what = NEEDS[kind]
    if not path.exists():
        assert not os.environ.get(variable), f"{variable} is set, and {what} is missing"
        pytest.skip(f"needs {what}")


@contextmanager
def running(kind: str) -> Iterator[RabbitMQ | SQS | Postgres]:
    """A server of a kind that answers."""
    needed(kind)
    home = homes.make()
    with ExitStack() as cleanup:
        cleanup.callback(shutil.rmtree, home, ignore_errors=True)
        server = KINDS[kind](home)
        cleanup.callback(server.close)
        server.start()
        yield server


@contextmanager
def chosen(env: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """The environment of a stack on the broker that AGENTAPP_TEST_BROKER names; nothing where it names none, or where
    `env` names one already."""
    kind = os.environ.get(VARIABLE, "")
    if not kind or env.get("BROKER_URL") or env.get("REDIS_URL"):
        yield {}
        return
    with running(kind) as server:
        yield {"BROKER_URL": server.url, **server.env}
