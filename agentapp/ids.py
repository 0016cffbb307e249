"""Identifiers that sort by time of birth."""

from __future__ import annotations

import hashlib
import math
import os
import time
from datetime import datetime
from uuid import UUID


def uuid7() -> UUID:
    """A version 7 UUID (RFC 9562): 48 bits of Unix milliseconds, then random bits.

    New rows land at the right edge of their index, and an id tells nobody how many there are.
    """
    return _version_7((time.time_ns() // 1_000_000) << 80 | int.from_bytes(os.urandom(10)))


def _version_7(value: int) -> UUID:
    value = value & ~(0xF << 76) | 0x7 << 76
    return UUID(int=value & ~(0x3 << 62) | 0x2 << 62)


def derived(born_ms: int, *names: bytes) -> UUID:
    """Return a version 7 UUID that is the same for the same names, whenever and by whomever it is asked for.

    `born_ms` are the Unix milliseconds by which it sorts.
    """
    value = born_ms << 80 | int.from_bytes(hashlib.sha256(b"".join(names)).digest()[:10])
    return _version_7(value)


def lowest(moment: datetime) -> UUID:
    """Return the id before which lie those that were made before a moment, as `moves.first_id` does."""
    return UUID(int=int(moment.timestamp() * 1000) << 80)


def born_s(id: UUID) -> float:
    """When a version 7 UUID was made, in seconds since 1970; infinity for an id that does not tell."""
    return (id.int >> 80) / 1000 if id.version == 7 else math.inf


def parsed(text: object) -> UUID | None:
    """Read an id that anybody may have written; None when it is none."""
    try:
        return UUID(str(text))
    except ValueError:
        return None


def of_child(job_id: UUID, replay: int) -> UUID:
    """Return the id of the task that a job runs: one for each time that somebody has replayed the job."""
    return derived(job_id.int >> 80, job_id.bytes, replay.to_bytes(4))
