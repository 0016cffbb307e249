"""Waiting for what other processes do."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.acceptance.scale import PATIENCE_S

DEADLINE_S = PATIENCE_S
REST_TIMES, REST_MOST_S = 12, 0.5


def until(is_so: Callable[[], object], what: str, *, deadline_s: float = DEADLINE_S, poll_s: float = 0.03) -> None:
    """Wait for something outside of this process.

    A look that costs more rests for longer: a process that waits leaves the processors to what is waited for.
    """
    deadline = time.monotonic() + deadline_s
    looked_s = time.monotonic()
    while not is_so():
        took_s = time.monotonic() - looked_s
        assert time.monotonic() < deadline, f"not within {deadline_s:.0f} s: {what}"
        time.sleep(max(poll_s, min(REST_TIMES * took_s, REST_MOST_S)))
        looked_s = time.monotonic()
