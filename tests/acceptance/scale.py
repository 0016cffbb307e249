"""How large the tests of durability are: short by default, long with AGENTAPP_CHAOS=long; their dice and stopwatches.

The short form is the same each time: its dice are thrown with one seed, and it asserts no time that a clock on the
wall has measured, because a machine that is busy with other things would break it. The long form throws others each
time, and holds what was promised in seconds. AGENTAPP_CHAOS_SEED throws the dice of a run again.
"""

from __future__ import annotations

import os
import random
import secrets

LONG = os.environ.get("AGENTAPP_CHAOS") == "long"
STEADY_SEED = 20_260_101
SEED = int(os.environ.get("AGENTAPP_CHAOS_SEED") or (secrets.randbelow(1_000_000) if LONG else STEADY_SEED))
# How long to wait for what should take seconds.
PATIENCE_S = 120.0


def sized(short: int, long: int) -> int:
    """Return the size for this form."""
    return long if LONG else short


def dice(test: str) -> random.Random:
    """Return the dice of a test, and print how to throw the same again."""
    print(f"{test}: AGENTAPP_CHAOS_SEED={SEED}")
    return random.Random(f"{SEED} {test}")


def patient_s(promised_s: float) -> float:
    """Return for how long to wait for what was promised within so many seconds: exactly so long in the long form."""
    return promised_s if LONG else max(PATIENCE_S, promised_s)


def timed(what: str, value: float, *, at_most: float) -> None:
    """Print a time, a ratio of times or a percentile of them; in the long form it may not be larger than `at_most`."""
    print(f"{what}: {value:.2f}, at most {at_most:.2f}")
    if LONG:
        assert value <= at_most, f"{what}: {value:.2f}, at most {at_most:.2f}"
