"""Debian's promtool, which reads rules as Prometheus does."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from tests.structure.source import ROOT

RULES = ROOT / "deploy" / "prometheus" / "agentapp.rules.yml"


def program(name: str) -> str:
    """The path of promtool or prometheus. Without it the test is skipped, unless AGENTAPP_REQUIRE_PROMETHEUS=1."""
    found = shutil.which(name)
    if found is None:
        if os.environ.get("AGENTAPP_REQUIRE_PROMETHEUS") == "1":
            pytest.fail(f"{name} is missing: install Debian's package prometheus")
        pytest.skip(f"Debian's package prometheus is not installed: no {name}")
    return found


def check(*arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    """Run promtool."""
    command = [program("promtool"), *arguments]
    return subprocess.run(command, input=given, capture_output=True, text=True, timeout=120, check=False)
