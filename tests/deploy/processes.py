"""What the Procfile says of each process, for the manifests to be held against."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from agentapp.local import procfile
from tests.structure.source import ROOT

DEPLOY = ROOT / "deploy"
PROCESSES = procfile.read(ROOT / "Procfile")
# The offline model server is for trying out.
DEPLOYED = sorted(set(PROCESSES) - {"model"})
WORKERS = [name for name in DEPLOYED if name.startswith("worker_")]
ALIVE, HEALTHY = "/srv/agentapp/deploy/alive", "/srv/agentapp/deploy/healthy"


def given_away(process: str) -> set[str]:
    """The settings that the process is started without, whatever the environment holds."""
    return set(re.findall(r"-u ([A-Z][A-Z0-9_]*)(?= )", PROCESSES[process]))


def documents(name: str) -> Iterator[dict[str, Any]]:
    """The objects of a YAML file, of its lists too."""
    for document in yaml.safe_load_all((DEPLOY / name).read_text()):
        yield from document["items"] if document["kind"] == "List" else [document]


def grace_s(process: str) -> int:
    """How long the process may take to end after SIGTERM, in seconds: what docs/howto/run_in_production.md says."""
    return 5 if process == "web" else 9


def not_its_own(process: str, environment: Mapping[str, Any]) -> set[str]:
    """What a manifest gives a process that it would throw away again."""
    return given_away(process) & set(environment)
