"""How large the tests of durability are: short by default, long with AGENTAPP_CHAOS=long; and their dice."""

from __future__ import annotations

import os
import random
import secrets

LONG = os.environ.get("AGENTAPP_CHAOS") == "long"
SEED = int(os.environ.get("AGENTAPP_CHAOS_SEED") or secrets.randbelow(1_000_000))


def sized(short: int, long: int) -> int:
    """Return the size for this form."""
    return long if LONG else short


def dice(test: str) -> random.Random:
    """Return the dice of a test, and print how to throw the same again."""
    print(f"{test}: AGENTAPP_CHAOS_SEED={SEED}")
    return random.Random(f"{SEED} {test}")
