"""deploy/systemd and deploy/railway, held against the Procfile."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests import programs
from tests.deploy.processes import DEPLOY, DEPLOYED, PROCESSES, WORKERS, grace_s
from tests.structure.markdown import page
from tests.structure.source import ROOT

UNITS = DEPLOY / "systemd"


def values(unit: str, key: str) -> list[str]:
    return re.findall(rf"^{key}=(.*)$", (UNITS / unit).read_text(), flags=re.MULTILINE)


def test_the_target_starts_each_process() -> None:
    wanted = set(values("agentapp.target", "Wants")[0].split())

    assert wanted == {f"agentapp@{name}.service" for name in (*WORKERS, "web", "dispatcher")}


def test_a_unit_becomes_the_process_and_gives_it_time_to_end() -> None:
    assert values("agentapp@.service", "ExecStart") == ["/srv/agentapp/deploy/run %i"]
    assert int(values("agentapp@.service", "TimeoutStopSec")[0]) > max(map(grace_s, DEPLOYED))
    assert values("agentapp@.service", "Restart") == ["always"]


def test_systemd_reads_the_units(tmp_path: Path) -> None:
    """It looks for the programs as well, so they are named where this checkout has them."""
    analyze = programs.needed("systemd-analyze", "AGENTAPP_REQUIRE_SYSTEMD", "systemd")
    for unit in UNITS.iterdir():
        text = unit.read_text().replace("/srv/agentapp/.venv/bin/python", "/bin/true").replace("User=agentapp\n", "")
        (tmp_path / unit.name).write_text(text.replace("/srv/agentapp/deploy/run", "/bin/true"))
    (tmp_path / "agentapp@web.service").write_text((tmp_path / "agentapp@.service").read_text())
    checked = subprocess.run(
        [analyze, "verify", "--man=no", "--recursive-errors=no", tmp_path / "agentapp@web.service",
         tmp_path / "agentapp-migrate.service", tmp_path / "agentapp.target"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stderr
    assert str(tmp_path) not in checked.stderr


@pytest.mark.parametrize("name", DEPLOYED)
def test_each_process_is_a_service_on_railway(name: str) -> None:
    service = json.loads((DEPLOY / "railway" / f"{name}.json").read_text())
    deploy = service["deploy"]

    assert service["build"] == {"builder": "DOCKERFILE", "dockerfilePath": "deploy/docker/Dockerfile"}
    assert deploy["startCommand"] == f"/srv/agentapp/deploy/run {name}"
    # Its parser takes numbers alone.
    assert deploy["drainingSeconds"] > grace_s(name)
    assert ("preDeployCommand" in deploy) is (name == "web")


def test_nothing_else_is_described_for_railway() -> None:
    assert sorted(path.stem for path in (DEPLOY / "railway").glob("*.json")) == DEPLOYED


def test_the_steps_of_railway_name_every_service_and_what_it_must_be_given() -> None:
    section = page(ROOT / "docs" / "howto" / "deploy.md").text.split("\n## Railway\n")[1].split("\n## ")[0]
    (second,) = re.findall(r"^2\. .*?(?=^3\. )", section, flags=re.MULTILINE | re.DOTALL)

    assert sorted(set(re.findall(r"`([a-z_]+)`", second))) == DEPLOYED
    asked = {setting for name in DEPLOYED for setting in re.findall(r"\$\{([A-Z_]+):\?", PROCESSES[name])}
    assert asked == {"FLOWER_BASIC_AUTH"}
    assert f"`{asked.pop()}=" in section
