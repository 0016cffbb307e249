"""Each worker of `pytest -n` rewrites the assertions of its share of the test modules before it collects all of them.

A pytest plugin (`-p tests.rewriting`, in pyproject.toml). Pytest keeps what it has rewritten beside the module. After a
fresh clone there is nothing yet, and each worker, which imports every module at the same time as the others, would
rewrite every one: more than half of what it costs to collect. What another worker has not done by then is rewritten as
ever.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

# No public part of pytest rewrites a module without importing it.
from _pytest.assertion import rewrite

from tests import tiers

TESTS = tiers.ROOT / "tests"


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session: pytest.Session) -> None:
    if (given := getattr(session.config, "workerinput", None)) is None or sys.dont_write_bytecode:
        return
    # Of those that somebody names, each worker rewrites all: they are few.
    if [Path(each).resolve() for each in session.config.args] != [TESTS]:
        return
    number, count = int(given["workerid"].removeprefix("gw")), given["workercount"]
    for file in modules(session.config)[number::count]:
        _rewrite(file, session.config)


def modules(config: pytest.Config) -> list[Path]:
    """The test modules that are collected, in that order."""
    found = sorted(TESTS.rglob("test_*.py"))
    is_out = config.option.markexpr == tiers.WITHOUT
    return [file for file in found if not (is_out and tiers.is_thorough(file.relative_to(tiers.ROOT).as_posix()))]


def _rewrite(file: Path, config: pytest.Config) -> None:
    state = config.stash[rewrite.assertstate_key]
    folder = rewrite.get_cache_dir(file)
    kept = folder / (file.name.removesuffix(".py") + rewrite.PYC_TAIL)
    if rewrite.try_makedirs(folder) and rewrite._read_pyc(file, kept, state.trace) is None:
        source_hash, code = rewrite._rewrite_test(file, config)
        rewrite._write_pyc(state, code, source_hash, kept)
