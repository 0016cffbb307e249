"""How many workers `pytest -n auto` has, and how long a running stack is kept."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests import parallel, tiers


def test_auto_is_more_workers_than_processors(pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTEST_XDIST_AUTO_NUM_WORKERS", raising=False)
    processors = len(os.sched_getaffinity(0))
    for expression, more in (("", parallel.MORE), (tiers.WITHOUT, parallel.MORE_OF_FEW)):
        monkeypatch.setattr(pytestconfig.option, "markexpr", expression)
        assert pytestconfig.hook.pytest_xdist_auto_num_workers(config=pytestconfig) == processors + more


def test_a_stack_ends_as_soon_as_no_test_is_left_for_it(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(request.config, "workerinput", {"pieces": str(tmp_path / "pieces.json")}, raising=False)
    ended: list[str] = []
    with parallel.kept("probe") as opened:
        opened.callback(ended.append, "probe")
        parallel.pytest_runtest_setup(request.node)
        assert not ended

        (tmp_path / "pieces.probe_is_over").touch()
        parallel.pytest_runtest_setup(request.node)
        assert ended == ["probe"]

    assert ended == ["probe"]
