"""What the processes of a stack do not load at their start: each of them would pay for it, in CPU and in memory."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from agentapp.local.stack import CHECKOUT
from agentapp.testing.servers import UNSET

WORKER = """
import runpy, django
sys.argv[1:] = ["--help"]
try:
    runpy.run_module("config.worker", run_name="__main__")
except SystemExit:
    django.setup()
from agentapp.runtime import worker
worker.load(calls_models=True)
"""
# What they are started with, and what nothing asks for before somebody comes.
STARTS = {
    "worker": (WORKER, ("celery.bin.celery", "flower", "tornado", "rest_framework.views", "drf_spectacular", "openai")),
    "dispatcher": (
        "import django; django.setup(); import agentapp.management.commands.run_dispatcher",
        ("celery.bin", "flower", "rest_framework.views", "drf_spectacular", "openai", "httpcore2"),
    ),
    "web": ("import config.asgi, config.urls", ("celery.bin", "flower", "drf_spectacular", "openai", "httpcore2")),
}
# redis-py asks for OpenTelemetry wherever that is installed; an assistant loads what speaks MCP.
NOBODY = ("opentelemetry", "mcp", "mcp_types", "prometheus_client", "jsonschema", "genai_prices")


@pytest.mark.parametrize("process", STARTS)
def test_a_process_does_not_load_what_it_may_never_need(process: str) -> None:
    start, others = STARTS[process]
    asked = f"import sys\n{start}\nprint('loaded:', *(name for name in {(*others, *NOBODY)!r} if name in sys.modules))"
    # No provider of models is named.
    env = {name: value for name, value in os.environ.items() if name not in UNSET}

    done = subprocess.run(
        [sys.executable, "-c", asked], cwd=CHECKOUT, env=env, capture_output=True, text=True, check=True
    )

    assert done.stdout.splitlines()[-1].split() == ["loaded:"]
