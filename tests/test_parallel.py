"""`pytest -n auto` asks this project's plugin, and not xdist, how many workers there are."""

from __future__ import annotations

import os

import pytest

from tests import parallel


def test_auto_is_more_workers_than_processors(pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTEST_XDIST_AUTO_NUM_WORKERS", raising=False)
    number = pytestconfig.hook.pytest_xdist_auto_num_workers(config=pytestconfig)

    assert number == len(os.sched_getaffinity(0)) + parallel.MORE
