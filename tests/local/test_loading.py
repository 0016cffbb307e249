"""While a process loads its code, nobody looks for garbage; afterwards it is looked for, but not in the code."""

from __future__ import annotations

import gc

import pytest

from config.start import loading


@pytest.fixture(autouse=True)
def no_garbage() -> None:
    """Or it would be kept with the rest until the end of this process."""
    gc.collect()


def test_what_was_loaded_is_not_looked_through_again() -> None:
    before = gc.get_freeze_count()
    with loading():
        assert not gc.isenabled()
        loaded = [[number] for number in range(1_000)]

    assert gc.isenabled()
    assert gc.get_freeze_count() >= before + len(loaded)


def test_a_failure_leaves_nobody_without_a_garbage_collector() -> None:
    with pytest.raises(ImportError), loading():
        raise ImportError("no such package")

    assert gc.isenabled()
