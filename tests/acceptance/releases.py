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

import httpx2
import pytest

from agentapp.local import ports
from agentapp.local.stack import CHECKOUT, LocalStack
from tests import homes, recorder
from tests.acceptance.deployment import ENVIRONMENT, FAILPOINTS, Deployment, client_of, until
from tests.recorder import Recorder

# The last commit with the set of functions before the present one. A release that begins a new set moves it on.
PREVIOUS = "d446912"
OLD, NEW = "old", "new"
READY = " ready."
ALL_QUEUES = "model,retrieval,send,documents"


def check_out(folder: Path) -> None:
    """Unpack the previous release into a folder."""
    if not (CHECKOUT / ".git").exists():
        pytest.skip("the previous release is in the history of a git checkout, and this is none")
    found = subprocess.run(["git", "archive", PREVIOUS], cwd=CHECKOUT, capture_output=True, check=False)
    assert found.returncode == 0, f"The history does not reach back to {PREVIOUS}: {found.stderr.decode()}"
    with tarfile.open(fileobj=io.BytesIO(found.stdout)) as archive:
        archive.extractall(folder, filter="data")


def commands(previous: Path, *, old_port: int) -> dict[str, str]:
    """A web, a dispatcher and a worker for all queues of each release; one model server."""
    worker = (
        f"exec python -m celery -A config worker -P threads -c 16 -Q {ALL_QUEUES} -n {{release}}@%h -E "
        "--without-gossip --without-mingle --loglevel INFO"
    )
    web = "exec python -m uvicorn config.asgi:application --host 127.0.0.1 --port {port} --no-access-log"
    old = f"cd {shlex.quote(str(previous))} && "
    return {
        "model": "exec python -m agentapp.offline_model --host 127.0.0.1 --port $MODEL_PORT",
        "web": web.format(port="$PORT"),
        "web_old": old + web.format(port=old_port),
        "dispatcher_new": "exec python manage.py run_dispatcher",
        "dispatcher_old": old + "exec python manage.py run_dispatcher",
        "worker_new": worker.format(release=NEW),
        "worker_old": old + worker.format(release=OLD),
    }


class Releases(Deployment):
    """`web_old` is a client of the previous release's web; `web` is one of this release's."""

    def __init__(self, stack: LocalStack, outside: Recorder, *, old_url: str) -> None:
        super().__init__(stack, outside, alias="releases")
        self.web_old = client_of(old_url)
        self._programs = {name: child.program for name, child in stack._supervisor.children().items()}

    def of(self, release: str) -> httpx2.Client:
        return self.web if release == NEW else self.web_old

    def __enter__(self) -> Releases:
        super().__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.web_old.close()
        super().__exit__(*error)

    def stop(self, *names: str) -> None:
        """Stop processes as a deploy does: SIGTERM, then ten seconds."""
        self._stack._supervisor.stop(names)

    def start(self, *names: str) -> None:
        """Start processes again; returns when the workers among them are ready."""
        for name in names:
            self._start(name)

    def _start(self, name: str) -> None:
        before = self.log(name).count(READY)
        self._stack._supervisor.start(self._programs[name])
        if name.startswith("worker"):
            until(lambda: self.log(name).count(READY) > before, f"{name} is ready")


@contextmanager
def open_releases() -> Iterator[Releases]:
    """Set up a database with the previous release, migrate it with this one, and start the processes of both."""
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
            with (
                LocalStack(home / "stack", env=env, commands=commands(previous, old_port=old_port)) as stack,
                Releases(stack, outside, old_url=f"http://{ports.HOST}:{old_port}") as releases,
            ):
                until(lambda: _answers(releases.web_old), "the previous release's web answers")
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


def _answers(client: httpx2.Client) -> bool:
    try:
        return client.get("/healthz").status_code == 200
    except httpx2.TransportError:
        return False
