"""deploy/run and deploy/alive, which every image, pod and unit starts."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from agentapp.observability import alive
from tests.deploy.processes import DEPLOY, DEPLOYED, PROCESSES


def checkout(folder: Path, procfile: str) -> Path:
    """A folder with the script and a Procfile of its own."""
    (folder / "deploy").mkdir()
    script = folder / "deploy" / "run"
    script.write_text((DEPLOY / "run").read_text())
    script.chmod(0o755)
    (folder / "Procfile").write_text(procfile)
    return script


def test_it_becomes_the_process_of_that_name(tmp_path: Path) -> None:
    script = checkout(tmp_path, "web: echo web\nworker: echo $$ $GIVEN; exec sleep 0\nworker_b: echo b\n")
    started = subprocess.Popen([script, "worker"], stdout=subprocess.PIPE, text=True, env=os.environ | {"GIVEN": "x y"})
    output, _ = started.communicate(timeout=60)

    # No shell stays in between: a signal reaches the process itself.
    assert output == f"{started.pid} x y\n"


@pytest.mark.parametrize("arguments", [[], ["nobody"], ["w.b"]])
def test_a_name_that_the_procfile_does_not_have_is_refused(tmp_path: Path, arguments: list[str]) -> None:
    script = checkout(tmp_path, "web: echo web\n")
    ran = subprocess.run([script, *arguments], capture_output=True, text=True, check=False)

    assert ran.returncode == 2
    assert "Procfile" in ran.stderr
    assert not ran.stdout


def test_each_process_can_be_named() -> None:
    for name in DEPLOYED:
        assert PROCESSES[name].endswith(subprocess_line(name)), name


def subprocess_line(name: str) -> str:
    """The line as deploy/run reads it."""
    ran = subprocess.run(
        ["sed", "-n", f"s/^{name}: *//p", "Procfile"], cwd=DEPLOY.parent, capture_output=True, text=True, check=True
    )
    return ran.stdout.strip()


def looks(file: Path, script: str = "alive") -> int:
    nobody = {"PORT": "1", "FLOWER_PORT": "1", "AGENTAPP_ALIVE_FILE": str(file)}
    return subprocess.run([DEPLOY / script], env=os.environ | nobody, check=False).returncode


@pytest.mark.parametrize("script", ["alive", "healthy"])
def test_a_process_lives_while_its_file_is_young(tmp_path: Path, script: str) -> None:
    file = tmp_path / "alive"
    assert looks(file, script) == 1

    file.touch()
    assert looks(file, script) == 0

    long_ago = time.time() - 300
    os.utime(file, (long_ago, long_ago))
    assert looks(file, script) == 1


def test_the_file_is_written_at_most_every_ten_seconds(settings, tmp_path: Path) -> None:
    settings.AGENTAPP_ALIVE_FILE = str(tmp_path / "alive")
    process = alive.Alive()
    process.moves()
    assert looks(tmp_path / "alive") == 0

    (tmp_path / "alive").unlink()
    process.moves()
    assert not (tmp_path / "alive").exists()


def test_a_file_that_cannot_be_written_ends_nothing(settings, tmp_path: Path, caplog) -> None:
    settings.AGENTAPP_ALIVE_FILE = str(tmp_path / "missing" / "alive")
    alive.Alive().moves()

    assert [record.event for record in caplog.records] == ["alive.not_written"]


def test_nothing_is_written_where_no_file_is_named(settings) -> None:
    settings.AGENTAPP_ALIVE_FILE = ""
    alive.Alive().moves()
