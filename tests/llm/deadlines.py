"""Calls that run out of time, on a machine that may be busy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from agentapp.errors import TransientError

# In seconds. The first is enough to come to the body of an answer, unless other programs run beside the tests.
TIMES_S = (0.4, 1.6, 6.4, 25.6)


def words_at_the_deadline(call: Callable[[float], Any], *, shows: Callable[[str], bool] | None = None) -> str:
    """Make a call that ends at its deadline, with as many seconds as this machine needs for what the test is about: by
    default to come to the body of the answer. Returns why it ended."""
    is_shown = shows or (lambda words: "did not answer in time" not in words)
    for time_s in TIMES_S:
        with pytest.raises(TransientError) as failure:
            call(time_s)
        if is_shown(str(failure.value)):
            break
    return str(failure.value)
