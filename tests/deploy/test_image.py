"""The steps of the image, carried out in a folder, and processes that start from what they leave."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentapp.local import ports
from tests import homes
from tests.acceptance.deployment import until
from tests.api import live
from tests.deploy import image
from tests.deploy.processes import DEPLOY
from tests.structure.source import ROOT


@pytest.fixture(scope="module")
def stage() -> Iterator[image.Stage]:
    if not (ROOT / ".git").exists():
        pytest.skip("what belongs to the image is what git has, and this is no checkout")
    folder = homes.make("agentapp-image-")
    yield image.build(folder)
    shutil.rmtree(folder)


def environment(stage: image.Stage, home: Path, **more: str) -> dict[str, str]:
    """What the image sets, and what must be set beside it."""
    needed = {"DJANGO_SECRET_KEY": "k" * 60 + "not-a-real-one", "REDIS_URL": os.environ["REDIS_URL"]}
    own = {name: stage.here(value) for name, value in stage.env.items()} | {"AGENTAPP_HOME": str(home)}
    path = {"PATH": f"{stage.here('/srv/agentapp')}/.venv/bin:{os.environ['PATH']}"}
    return own | path | needed | {"DATABASE_URL": live.environment()["DATABASE_URL"]} | more


def is_healthy(stage: image.Stage, env: dict[str, str]) -> bool:
    (check,) = stage.healthy
    return subprocess.run([stage.here(check)], env=env, stderr=subprocess.DEVNULL, check=False).returncode == 0


def files(stage: image.Stage) -> set[Path]:
    return {path for path in stage.path(".").rglob("*") if ".venv" not in path.parts}


def manage(stage: image.Stage, home: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [".venv/bin/python", "manage.py", *arguments], cwd=stage.path("."), env=environment(stage, home, **more),
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_the_image_holds_what_runs_and_nothing_else(stage: image.Stage) -> None:
    names = {path.name for path in stage.path(".").iterdir()}

    assert names == {
        ".venv", "LICENSE", "Procfile", "agentapp", "config", "deploy", "manage.py", "pyproject.toml", "tasks",
        "templates",
    }  # fmt: skip
    assert {path.name for path in stage.path("deploy").iterdir()} == {"run", "alive", "healthy"}
    assert list(stage.path("agentapp").rglob("__pycache__/*.pyc"))
    assert stage.user == "10001:10001"
    assert (stage.entrypoint, stage.command) == (["/srv/agentapp/deploy/run"], ["web"])


@pytest.mark.parametrize(
    ("name", "is_ignored"),
    [
        ("agentapp/conf.py", False), ("deploy/run", False), ("deploy/requirements/base.txt", False),
        ("deploy/docker/.env", True), (".local/stack.json", True), ("tests/conftest.py", True), (".git/config", True),
        ("agentapp/__pycache__/conf.pyc", True), ("docs/api.md", True), ("bench/load.py", True),
    ],
)  # fmt: skip
def test_secrets_and_tests_stay_out_of_it(name: str, is_ignored: bool) -> None:
    assert image.is_ignored(name) is is_ignored


def test_a_deployment_with_tls_has_no_warnings(stage: image.Stage, tmp_path: Path) -> None:
    checked = manage(
        stage, tmp_path, "check", "--deploy", "--fail-level", "WARNING",
        AGENTAPP_HTTPS="1", DJANGO_ALLOWED_HOSTS="agents.example.org",
    )  # fmt: skip
    assert checked.returncode == 0, checked.stderr


@pytest.mark.django_db(transaction=True)
def test_the_web_starts_from_it_and_writes_nothing_into_it(stage: image.Stage, tmp_path: Path) -> None:
    before = files(stage)
    port = ports.free(1)[0]
    env = environment(stage, tmp_path / "home", HOST=ports.HOST, PORT=str(port))
    log = tmp_path / "log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [stage.here(stage.entrypoint[0]), *stage.command], env=env, cwd=tmp_path, stderr=output
        )
    try:
        web = live.Web(port)
        until(lambda: process.poll() is not None or answers(web), "the web answers", deadline_s=live.START_S)
        status, _, body = web.ask("GET", "/readyz")
        assert (status, body["postgres"]) == (200, "up")
        assert is_healthy(stage, env)
        status, _, page = web.raw("GET", "/admin/login/", {"Host": "localhost"})
        assert status == 200
        (style,) = re.findall(rb'href="(/static/agentapp/[^"]+\.css)"', page)[:1]
        assert web.raw("GET", style.decode(), {"Host": "localhost"})[0] == 200
    finally:
        process.terminate()
        process.wait(timeout=live.START_S)
    assert not is_healthy(stage, env)
    assert files(stage) == before
    written = [json.loads(line) for line in log.read_text().splitlines()]
    # No line for each request, with the tokens in the addresses of streams; no warnings.
    assert {line["logger"] for line in written} == {"uvicorn.error"}
    assert {line["level"] for line in written} == {"INFO"}


def answers(web: live.Web) -> bool:
    try:
        return web.raw("GET", "/healthz", {})[0] == 200
    except OSError:
        return False


def test_the_locks_hold_what_the_image_installs() -> None:
    """With a hash for each package, and all of base beside what keeps files in a bucket and sends traces."""
    base, extras = (set(packages(name)) for name in ("base", "extras"))

    assert base < extras
    assert {"django-storages", "boto3", "opentelemetry-sdk"} <= {package.partition("==")[0] for package in extras}


def packages(name: str) -> list[str]:
    text = (DEPLOY / "requirements" / f"{name}.txt").read_text()
    return re.findall(r"^([a-z0-9.-]+==\S+)", text, flags=re.MULTILINE)
