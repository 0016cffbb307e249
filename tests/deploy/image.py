"""Makes what deploy/docker/Dockerfile describes in a plain folder: no Docker engine runs here.

Each step is carried out as it stands, but for two kinds: those that install packages, for which the environment of this
test run stands, and those that make users, which would change this machine.
"""

from __future__ import annotations

import fnmatch
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.deploy.processes import DEPLOY
from tests.structure.source import ROOT

FILE = DEPLOY / "docker" / "Dockerfile"
_ENVIRONMENT = re.compile(r"-m venv|pip install|compileall -q -j 0 \.venv")
_USERS = re.compile(r"^groupadd")


def instructions() -> Iterator[tuple[str, str]]:
    """The instructions of the Dockerfile, each with what stands behind it on its lines."""
    text = re.sub(r"^#.*\n", "", FILE.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    for line in filter(None, map(str.strip, text.splitlines())):
        word, _, rest = line.partition(" ")
        yield word, rest.strip()


def context(folder: Path) -> None:
    """Copy what the build is given of this checkout: what is in git and not ignored."""
    names = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    for name in names:
        if not is_ignored(name) and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)


def is_ignored(name: str) -> bool:
    """As Docker reads it: the last line that fits decides."""
    ignored = False
    for line in (DEPLOY / "docker" / "Dockerfile.dockerignore").read_text().splitlines():
        if line and not line.startswith("#"):
            pattern = line.removeprefix("!")
            anywhere = name.split("/") if pattern.startswith("**/") else []
            if any(fnmatch.fnmatch(part, pattern.removeprefix("**/")) for part in (name, *_above(name), *anywhere)):
                ignored = not line.startswith("!")
    return ignored


def _above(name: str) -> list[str]:
    parts = name.split("/")
    return ["/".join(parts[:number]) for number in range(1, len(parts))]


@dataclass
class Stage:
    """A file system that steps change, below a folder, and the environment that they leave."""

    root: Path
    workdir: str = "/"
    env: dict[str, str] = field(default_factory=dict)
    user: str = "0"
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    healthy: list[str] = field(default_factory=list)

    def path(self, name: str) -> Path:
        """Where a path of the image lies here."""
        return self.root / str(Path(self.workdir) / name).lstrip("/")

    def here(self, text: str) -> str:
        return text.replace("/srv/agentapp", str(self.root / "srv" / "agentapp"))


def build(folder: Path) -> Stage:
    """Carry out all steps; return what the image is. Raises CalledProcessError for a step that fails."""
    given = folder / "context"
    context(given)
    stages: dict[str, Stage] = {}
    stage = Stage(folder / "none")
    for word, rest in instructions():
        if word == "FROM":
            name = rest.partition(" AS ")[2] or "last"
            stage = stages[name] = Stage(folder / name)
        elif word == "WORKDIR":
            stage.workdir = rest
            stage.path(".").mkdir(parents=True, exist_ok=True)
        elif word == "COPY":
            _copy(shlex.split(rest), given, stages, stage)
        elif word == "RUN":
            _run(rest, stage)
        elif word == "ENV":
            stage.env |= dict(pair.split("=", 1) for pair in shlex.split(rest))
        elif word == "USER":
            stage.user = rest
        elif word in {"ENTRYPOINT", "CMD"}:
            setattr(stage, "entrypoint" if word == "ENTRYPOINT" else "command", re.findall(r'"([^"]*)"', rest))
        elif word == "HEALTHCHECK":
            stage.healthy = re.findall(r'"([^"]*)"', rest)
        else:
            assert word in {"ARG", "VOLUME", "EXPOSE", "STOPSIGNAL"}, word
    return stage


def _copy(words: list[str], given: Path, stages: dict[str, Stage], stage: Stage) -> None:
    source = given
    if words[0].startswith("--from="):
        other = stages[words.pop(0).removeprefix("--from=")]
        source = other.path(".")
    *names, target = words
    for name in names:
        from_ = source / name.removeprefix("/srv/agentapp/")
        to = stage.path(target) / Path(name).name if target.endswith("/") else stage.path(target)
        to.parent.mkdir(parents=True, exist_ok=True)
        if from_.is_symlink():
            to.symlink_to(from_.readlink())
        elif from_.is_dir():
            shutil.copytree(from_, to)
        else:
            shutil.copy2(from_, to)


def _run(command: str, stage: Stage) -> None:
    if _ENVIRONMENT.search(command):
        if not stage.path(".venv").exists():
            stage.path(".venv").symlink_to(sys.prefix)
    elif not _USERS.match(command):
        subprocess.run(["sh", "-c", stage.here(command)], cwd=stage.path("."), check=True, capture_output=True)
