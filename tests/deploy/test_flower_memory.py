"""Flower remembers what it has seen: so much that it stays far below the memory that it is given."""

from __future__ import annotations

import importlib

from flower.options import options

from agentapp.local.stack import CHECKOUT

# What celery keeps of a job with its name, arguments and times, as a soak has measured it.
JOB_KB = 7
MIB_AT_START = 160
LIMIT = "limits: { memory: 512Mi }"


def test_what_flower_remembers_fits_into_its_memory() -> None:
    importlib.import_module("config.flower")

    assert LIMIT in (CHECKOUT / "deploy/kubernetes/flower/flower.yaml").read_text()
    assert options.max_tasks * JOB_KB / 1024 + MIB_AT_START < 512
