"""A deployment in the middle of a deploy: processes of the previous release and of this one, on one database."""

from __future__ import annotations

import io
import shlex
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest

from agentapp.local import ports
from agentapp.local.child import Program
from agentapp.local.stack import CHECKOUT, LocalStack
from tests import homes, recorder
from tests.acceptance.deployment import ENVIRONMENT, FAILPOINTS, Deployment, Json, client_of, until
from tests.acceptance.front import Front
from tests.acceptance.scale import LONG
from tests.recorder import Recorder

# The last commit with the set of functions before the present one. A release that begins a new set moves it on.
PREVIOUS = "874c8b17"
OLD, NEW = "old", "new"
PROCESSES = ("dispatcher", "worker", "web")
READY = " ready."
GRACE_S = 30.0
ALL_QUEUES = "model,retrieval,send,documents"


def check_out(folder: Path) -> None:
    """Unpack the previous release into a folder."""
    if not (CHECKOUT / ".git").exists():
        pytest.skip("the previous release is in the history of a git checkout, and this is none")
    found = subprocess.run(["git", "archive", PREVIOUS], cwd=CHECKOUT, capture_output=True, check=False)
    assert found.returncode == 0, f"The history does not reach back to {PREVIOUS}: {found.stderr.decode()}"
    with tarfile.open(fileobj=io.BytesIO(found.stdout)) as archive:
        archive.extractall(folder, filter="data")


def process(what: str, release: str) -> str:
    """Return the name of a web, a dispatcher or a worker of a release. The stack knows ours by the name `web`."""
    return "web" if (what, release) == ("web", NEW) else f"{what}_{release}"


def commands(previous: Path, *, old_port: int) -> dict[str, str]:
    """A web, a dispatcher and a worker for all queues of each release; one model server."""
    worker = (
        f"exec python -m celery -A config worker -P threads -c 16 -Q {ALL_QUEUES} -n {{release}}@%h -E "
        "--without-gossip --without-mingle --loglevel INFO"
    )
    web = (
        "exec python -m uvicorn config.asgi:application --host 127.0.0.1 --port {port} --no-access-log "
        "--timeout-graceful-shutdown 4"
    )
    dispatcher = "export AGENTAPP_ALIVE_FILE=$AGENTAPP_HOME/{name}.alive; exec python manage.py run_dispatcher"
    lines = {"model": "exec python -m agentapp.offline_model --host 127.0.0.1 --port $MODEL_PORT"}
    for release, folder, port in ((OLD, previous, old_port), (NEW, CHECKOUT, "$PORT")):
        for what, line in (("web", web), ("dispatcher", dispatcher), ("worker", worker)):
            name = process(what, release)
            its = line.format(name=name, release=release, port=port)
            lines[name] = f"cd {shlex.quote(str(folder))} && {its}"
    return lines


class Releases(Deployment):
    """At first the previous release alone, on its own database; `migrate` and `start` bring this one beside it.

    Requests go to the webs that run. `web_old` is a client of the previous release's web; `web` is one of this one's.
    """

    def __init__(self, stack: LocalStack, outside: Recorder, *, lines: dict[str, str], old_url: str) -> None:
        super().__init__(stack, outside, alias="releases")
        self.web_old = client_of(old_url)
        # How many seconds an answer takes on a busy machine is not what the short form is about.
        self.front = Front({"web": self.web, "web_old": self.web_old}, waits_for_answers=not LONG)
        env = stack._supervisor.children()["web_old"].program.env | {"PORT": str(urlsplit(self.about["url"]).port)}
        self._programs = {
            name: Program(name=name, argv=["/bin/sh", "-c", line], env=env, cwd=CHECKOUT)
            for name, line in lines.items()
        }
        self._is_migrated = False

    def of(self, release: str) -> httpx2.Client:
        return self.web if release == NEW else self.web_old

    def ask(self, method: str, path: str, body: Json | None = None, *, key: str = "api_key") -> httpx2.Response:
        return self.front.request(method, path, json=body, headers={"Authorization": f"Bearer {self.about[key]}"})

    def __enter__(self) -> Releases:
        super().__enter__()
        self.front.add("web_old")
        return self

    def __exit__(self, *error: object) -> None:
        # The stack ends those that it has started itself.
        self.stop(*(process(what, NEW) for what in PROCESSES))
        self.web_old.close()
        super().__exit__(*error)

    def migrate(self) -> None:
        """Migrate the database to this release, as the step of a deploy before its processes start."""
        if not self._is_migrated:
            env = self._programs["web"].env
            subprocess.run(
                [sys.executable, "manage.py", "migrate", "--verbosity", "0"], cwd=CHECKOUT, env=env, check=True
            )
            self._is_migrated = True

    def runs(self, name: str) -> bool:
        return name in self._stack._supervisor.children()

    def stop(self, *names: str) -> None:
        """Stop processes as a deploy does: no more requests for a web, SIGTERM, then half a minute."""
        for name in set(names) & set(self.front.ready()):
            self.front.remove(name)
        self._stack._supervisor.stop(names, grace_s=GRACE_S)

    def start(self, *names: str) -> None:
        """Start those of the processes that do not run; returns when they are ready."""
        for name in names:
            if not self.runs(name):
                self._start(name)

    def _start(self, name: str) -> None:
        alive = self.home / f"{name}.alive"
        alive.unlink(missing_ok=True)
        log = self.home / "logs" / f"{name}.log"
        before = self.log(name).count(READY) if log.exists() else 0
        self._stack._supervisor.start(self._programs[name])
        if name.startswith("worker"):
            until(lambda: self.log(name).count(READY) > before, f"{name} is ready")
        elif name.startswith("dispatcher"):
            until(alive.exists, f"{name} lives")
        else:
            self.front.add(name)


@contextmanager
def open_releases() -> Iterator[Releases]:
    """Set up a database with the previous release, and start its processes."""
    home = homes.make()
    previous = home / "previous"
    old_port = ports.free(1)[0]
    try:
        check_out(previous)
        with Recorder(home / "recorder.jsonl") as outside:
            (home / FAILPOINTS).mkdir()
            env = {
                **ENVIRONMENT,
                "AGENTAPP_FAILPOINTS": str(home / FAILPOINTS),
                recorder.ADDRESS_VARIABLE: outside.address,
            }
            _prepare_with(previous, home / "stack", env)
            lines = commands(previous, old_port=old_port)
            old = {name: line for name, line in lines.items() if name == "model" or name.endswith(OLD)}
            with (
                LocalStack(home / "stack", env=env, commands=old, prepare=False) as stack,
                Releases(stack, outside, lines=lines, old_url=f"http://{ports.HOST}:{old_port}") as releases,
            ):
                yield releases
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _prepare_with(previous: Path, home: Path, env: dict[str, str]) -> None:
    """Make the database, its first tenant and its keys as the previous release does."""
    servers = LocalStack(home, env=env, commands={}, prepare=False)
    with servers:
        environ = servers._environ | {
            "DATABASE_URL": servers.stack["database_url"], "REDIS_URL": servers.stack["redis_url"],
            "AGENTAPP_HOME": str(home), "DJANGO_SETTINGS_MODULE": "config.settings",
        }  # fmt: skip
        subprocess.run([sys.executable, "-m", "agentapp.local.prepare"], cwd=previous, env=environ, check=True)
