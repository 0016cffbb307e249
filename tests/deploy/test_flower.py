"""Flower ends where its pages would be empty, and remembers no more than its memory holds."""

from __future__ import annotations

import importlib

import pytest
from flower.options import options
from pytest_django import Settings

from agentapp.dispatch.brokers import choice
from agentapp.local import surroundings
from agentapp.local.stack import CHECKOUT

# What celery keeps of a job with its name, arguments and times, as a soak has measured it.
JOB_KB = 7
MIB_AT_START = 160
LIMIT = "limits: { memory: 512Mi }"


def test_what_flower_remembers_fits_into_its_memory() -> None:
    importlib.import_module("config.flower")

    assert LIMIT in (CHECKOUT / "deploy/kubernetes/flower/flower.yaml").read_text()
    assert options.max_tasks * JOB_KB / 1024 + MIB_AT_START < 512


@pytest.mark.parametrize("url", ["redis://h/0", "amqp://h//", "sqs://", "postgresql://h/d"])
def test_flower_ends_where_the_broker_reaches_no_worker(url: str, settings: Settings) -> None:
    flower = importlib.import_module("config.flower")
    settings.BROKER_URL = url
    reaches = choice.of(url).capabilities.remote_control

    assert surroundings.runs_flower({"BROKER_URL": url}) is reaches
    if reaches:
        flower.check_broker()
    else:
        with pytest.raises(SystemExit, match="Flower shows nothing on "):
            flower.check_broker()
    assert reaches is not url.startswith(("sqs", "postgresql"))
