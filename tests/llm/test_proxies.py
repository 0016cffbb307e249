"""A proxy for the outside world, set in the shell, does not stand between the processes of one machine."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from agentapp.local import ports
from agentapp.local.stack import CHECKOUT
from config.loopback import never_proxied
from tests.offline_model.process import OfflineModel

ASK = """
import sys, django
django.setup()
from agentapp.llm import client
from agentapp.llm.answers import Message
print(client.complete([Message("user", "Say something.")], timeout_s=10).text)
"""
# The environment of the test run has been completed already; what a shell says is what counts here.
CLEAN = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}


@pytest.mark.parametrize(
    ("name", "scheme", "host"),
    [("HTTP_PROXY", "http", "127.0.0.1"), ("all_proxy", "http", "localhost"), ("ALL_PROXY", "socks5", "localhost")],
)
def test_a_model_on_this_machine_is_asked_directly(
    model_process: OfflineModel, process_env: dict[str, str], name: str, scheme: str, host: str
) -> None:
    closed = f"{scheme}://127.0.0.1:{ports.free(1)[0]}"
    model = {"OPENAI_BASE_URL": model_process.url.replace("127.0.0.1", host), "AGENTAPP_MODEL": "offline"}
    database = process_env["DATABASE_URL"]
    settings = {"DJANGO_SETTINGS_MODULE": "config.settings", "DATABASE_URL": database, name: closed}
    asked = subprocess.run(
        [sys.executable, "-c", ASK], cwd=CHECKOUT, env=CLEAN | model | settings, capture_output=True, text=True,
        check=False,
    )  # fmt: skip

    assert asked.returncode == 0, asked.stderr
    assert asked.stdout.strip()


@pytest.mark.parametrize(
    ("said", "completed"),
    [
        ({}, "localhost,127.0.0.1,::1"),
        ({"NO_PROXY": "example.org, localhost"}, "example.org,localhost,127.0.0.1,::1"),
        ({"no_proxy": "lower.test", "NO_PROXY": "upper.test"}, "lower.test,localhost,127.0.0.1,::1"),
        ({"NO_PROXY": "*"}, "*"),
    ],
)
def test_what_the_shell_says_is_kept_and_completed(said: dict[str, str], completed: str) -> None:
    never_proxied(said)

    assert said == {"no_proxy": completed, "NO_PROXY": completed}
