"""Programs of Debian that a test needs beside our own."""

from __future__ import annotations

import os
import shutil

import pytest


def needed(name: str, variable: str, package: str) -> str:
    """The path of a program. Without it the test is skipped, or fails where the variable is 1: CI has it."""
    found = shutil.which(name)
    if found is None:
        if os.environ.get(variable) == "1":
            pytest.fail(f"{variable}=1, and {name} is missing: install Debian's package {package}")
        pytest.skip(f"{name} is missing: Debian's package {package}")
    return found


def pgbouncer() -> str:
    return needed("pgbouncer", "AGENTAPP_REQUIRE_PGBOUNCER", "pgbouncer")
