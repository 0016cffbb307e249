"""Debian's promtool, which reads rules as Prometheus does."""

from __future__ import annotations

import subprocess

from tests import programs
from tests.structure.source import ROOT

RULES = ROOT / "deploy" / "prometheus" / "agentapp.rules.yml"


def program(name: str) -> str:
    """The path of promtool or prometheus."""
    return programs.needed(name, "AGENTAPP_REQUIRE_PROMETHEUS", "prometheus")


def check(*arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    """Run promtool."""
    command = [program("promtool"), *arguments]
    return subprocess.run(command, input=given, capture_output=True, text=True, timeout=120, check=False)
