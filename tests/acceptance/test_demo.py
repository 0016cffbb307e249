"""The demo as somebody sees it who has just checked the project out, behind a proxy for the outside world."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentapp.local import ports
from agentapp.local.stack import CHECKOUT
from tests import homes

pytestmark = [pytest.mark.acceptance]
# It starts servers of its own, and names none of those of the test run.
UNSET = ("DATABASE_URL", "REDIS_URL", "AGENTAPP_TEST_DATABASE_URL", "NO_PROXY", "no_proxy", "ONCE", "PORT")


@pytest.fixture
def home() -> Iterator[Path]:
    path = homes.make()
    yield path
    shutil.rmtree(path, ignore_errors=True)


def test_the_demo_ends_well_though_the_shell_names_a_proxy(home: Path) -> None:
    closed = f"127.0.0.1:{ports.free(1)[0]}"
    proxies = {"HTTP_PROXY": f"http://{closed}", "HTTPS_PROXY": f"http://{closed}", "ALL_PROXY": f"socks5://{closed}"}
    proxies |= {name.lower(): address for name, address in proxies.items()}
    env = {name: value for name, value in os.environ.items() if name not in UNSET}

    demo = subprocess.run(
        [sys.executable, "manage.py", "demo", "--once", "--port", "0"], cwd=CHECKOUT,
        env=env | proxies | {"AGENTAPP_HOME": str(home / "stack")}, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert demo.returncode == 0, demo.stdout[-2_000:] + demo.stderr[-2_000:]
    assert "5 submitted, 5 completed, 5 mails, 0 duplicates" in demo.stdout
