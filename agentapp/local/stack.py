"""The stack: servers, database, processes, in order up and in reverse order down."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
from collections.abc import Callable, Container
from functools import partial
from pathlib import Path
from typing import Any, Self

from agentapp.local import credentials, leftovers, ports, procfile, surroundings
from agentapp.local.child import Child, Program
from agentapp.local.home import STACK_FILE, HomeLock, write_stack
from agentapp.local.postgres import EmbeddedPostgres
from agentapp.local.problem import StackProblem
from agentapp.local.servers import start_servers, stop_servers
from agentapp.local.supervisor import Supervisor
from agentapp.local.surroundings import Ports
from agentapp.local.valkey import EmbeddedValkey
from agentapp.local.waiting import tail, until_ready

CHECKOUT = Path(__file__).resolve().parents[2]
READY_TIMEOUT_S = 120.0
PREPARE_TIMEOUT_S = 300.0
# Started beside the migrations, because their start is mostly imports and there is more than one processor.
_NEED_NO_TABLES = {"model", "flower", "web"}
_PREPARE = ("-m", "agentapp.local.prepare")


class LocalStack:
    """Everything that agentapp needs, on this machine, until `stop`.

    `port` 0 takes a free one. `env` is laid over this process's environment. `processes` names the lines of the
    Procfile to run; None = all. `prepare` False leaves the database as it is, for a Procfile that needs none.
    """

    def __init__(
        self,
        home: Path,
        port: int = 0,
        env: dict[str, str] | None = None,
        processes: set[str] | None = None,
        *,
        commands: dict[str, str] | None = None,
        prepare: bool = True,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.home = home.resolve()
        self.stack: dict[str, Any] = {}
        self.is_first_start = False
        self._port = port
        self._environ = {**os.environ, **(env or {})}
        self._commands = commands
        self._processes = processes
        self._prepares = prepare
        self._say = say
        self._logs = self.home / "logs"
        self._cleanup = contextlib.ExitStack()

    def start(self) -> None:
        """Return when everything answers; `stack` then holds what stack.json says.

        Raises:
            StackProblem: it cannot start; whatever had started is stopped again.
        """
        with contextlib.ExitStack() as cleanup:
            commands = self._chosen_commands()
            cleanup.enter_context(HomeLock(self.home))
            for name in leftovers.end(self.home):
                self._say(f"Ended what an earlier stack left running: {name}.")
            chosen = Ports.choose(web=self._port)
            kept = credentials.load(self.home)
            self._supervisor = Supervisor(logs=self._logs, on_change=self._record, on_death=self._report)
            cleanup.callback(self._supervisor.close)
            environ = self._start_servers(chosen, kept["redis_password"], cleanup)
            cleanup.callback(self._stop_processes, list(commands))
            early = [name for name in commands if name in _NEED_NO_TABLES]
            self._start_processes(early, commands, environ, chosen, kept)
            if self._prepares:
                self._prepare(environ)
                kept = credentials.load(self.home)
            self._start_processes([name for name in commands if name not in early], commands, environ, chosen, kept)
            self._wait_for_processes(commands, chosen)
            self.stack = self._describe(environ, chosen, kept)
            cleanup.callback((self.home / STACK_FILE).unlink, missing_ok=True)
            self._record(self._supervisor.children())
            self.is_first_start = credentials.first_shown(self.home)
            self._cleanup = cleanup.pop_all()

    def stop(self) -> None:
        """Stop the web, the workers, the rest, then the broker and the database; ten seconds each, then by force."""
        self._cleanup.close()
        self.stack = {}

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _chosen_commands(self) -> dict[str, str]:
        commands = procfile.read(CHECKOUT / "Procfile") if self._commands is None else dict(self._commands)
        if not surroundings.is_offline(self._environ):
            commands.pop("model", None)
        if not surroundings.runs_flower(self._environ):
            commands.pop("flower", None)
        if self._processes is None:
            return commands
        if unknown := self._processes - commands.keys():
            raise StackProblem(f"No such process: {', '.join(sorted(unknown))}. There are {', '.join(commands)}.")
        return {name: command for name, command in commands.items() if name in self._processes}

    def _start_servers(self, chosen: Ports, password: str, cleanup: contextlib.ExitStack) -> dict[str, str]:
        database_url, redis_url = self._environ.get("DATABASE_URL", ""), self._environ.get("REDIS_URL", "")
        postgres = None if database_url else EmbeddedPostgres(self.home)
        valkey = None if redis_url else EmbeddedValkey(self.home, port=chosen.valkey, password=password)
        cleanup.callback(stop_servers, self._supervisor)
        if postgres or valkey:
            self._say("Starting " + " and ".join([*["Postgres"] * bool(postgres), *["Valkey"] * bool(valkey)]) + " ...")
        start_servers(self._supervisor, logs=self._logs, postgres=postgres, valkey=valkey)
        return surroundings.common(
            self._environ,
            home=self.home,
            chosen=chosen,
            database_url=postgres.url if postgres else database_url,
            redis_url=valkey.url if valkey else redis_url,
        )

    def _prepare(self, environ: dict[str, str]) -> None:
        self._say("Bringing the database up to date ...")
        log = self._logs / "prepare.log"
        log.unlink(missing_ok=True)
        program = Program(name="prepare", argv=["python", *_PREPARE], env=environ, cwd=CHECKOUT)
        child = Child(program, log=log)
        try:
            ended = child.wait(timeout_s=PREPARE_TIMEOUT_S)
            if not ended or child.exit_code() != 0:
                raise StackProblem(f"The database could not be brought up to date. The end of {log}:\n{tail(log)}")
        finally:
            child.kill()

    def _start_processes(
        self, names: list[str], commands: dict[str, str], environ: dict[str, str], chosen: Ports, kept: dict[str, str]
    ) -> None:
        if names:
            self._say(f"Starting {', '.join(names)} ...")
        for name in names:
            own = surroundings.of_one(name, chosen, user=kept["admin_user"], password=kept["admin_password"])
            argv = ["/bin/sh", "-c", commands[name]]
            self._supervisor.start(Program(name=name, argv=argv, env=environ | own, cwd=CHECKOUT))

    def _wait_for_processes(self, names: Container[str], chosen: Ports) -> None:
        for name, port, path in (
            ("model", chosen.model, "/healthz"),
            ("flower", chosen.flower, "/"),
            ("web", chosen.web, "/healthz"),
        ):
            if name in names:
                is_ready = partial(_answers, port, path)
                log = self._logs / f"{name}.log"
                until_ready(self._supervisor, name, is_ready, log=log, timeout_s=READY_TIMEOUT_S)

    def _describe(self, environ: dict[str, str], chosen: Ports, kept: dict[str, str]) -> dict[str, Any]:
        url = surroundings.web_url(chosen)
        return {
            "url": url,
            "api_key": kept.get("api_key", ""),
            "approver_api_key": kept.get("approver_api_key", ""),
            "admin_url": f"{url}/admin/",
            "admin_user": kept["admin_user"],
            "admin_password": kept["admin_password"],
            "flower_url": surroundings.flower_url(self._environ, chosen),
            "database_url": environ["DATABASE_URL"],
            "redis_url": environ["REDIS_URL"],
            "broker_url": environ.get("BROKER_URL") or environ["REDIS_URL"],
            "model_url": surroundings.model_url(self._environ, chosen),
            "mail_dir": str(self.home / "outbox"),
            "mail_is_sent": bool(environ.get("EMAIL_URL")),
        }

    def _record(self, children: dict[str, Child]) -> None:
        leftovers.record(self.home, children)
        if self.stack:
            self.stack["pids"] = {name: child.pid for name, child in children.items()}
            write_stack(self.home, self.stack)

    def _report(self, name: str, exit_code: int, wait_s: float) -> None:
        how = f"was ended by {signal.Signals(-exit_code).name}" if exit_code < 0 else f"ended with code {exit_code}"
        self._say(f"{name} {how}; it starts again in {wait_s:.1f} s. Its log: {self._logs / f'{name}.log'}")

    def _stop_processes(self, names: list[str]) -> None:
        """The web first, so that nothing new comes in; the dispatcher and the model server after those they serve."""
        web = [name for name in names if name in {"web", "flower"}]
        workers = [name for name in names if name.startswith("worker")]
        self._supervisor.stop(web)
        self._supervisor.stop(workers)
        self._supervisor.stop([name for name in names if name not in {*web, *workers}])


def _answers(port: int, path: str) -> bool:
    """Return whether a server answers at all well: anything but a server error."""
    connection = http.client.HTTPConnection(ports.HOST, port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status < http.HTTPStatus.INTERNAL_SERVER_ERROR
    except OSError:
        return False
    finally:
        connection.close()
