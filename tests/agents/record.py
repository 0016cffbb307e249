"""A record outside of Postgres: what bodies did, counted where no lease and no transaction can take it back."""

from __future__ import annotations

import os
import time

import redis

_RAN = "tests:ran"
_GATE = "tests:gate:"
_WORD = "tests:word:"
_COUNT = "tests:count:"
# A body that nobody lets go ends by itself.
_HELD_S = 240

# A body at a gate reads for as long as it is held: the client's own timeout, five seconds, would end it.
_client = redis.Redis.from_url(os.environ.get("REDIS_URL") or "redis://127.0.0.1:1/0", socket_timeout=_HELD_S + 5)


# How long the body of a type takes, in seconds; a test may say so.
TAKES_S: dict[str, float] = {}


def ran(type: str, job_id: object) -> None:
    """Write down that the body of a job runs."""
    _client.rpush(_RAN, f"{type} {job_id}")
    time.sleep(TAKES_S.get(type, 0))


def bodies() -> list[str]:
    """Return "type id" for every run of a body, in order."""
    entries: list[bytes] = _client.lrange(_RAN, 0, -1)  # type: ignore[assignment]  # the stubs know async clients too
    return [entry.decode() for entry in entries]


def wait_at(gate: str) -> None:
    """Hold a body until a test lets one go at this gate."""
    _client.blpop([_GATE + gate], timeout=_HELD_S)


def let_go(client: redis.Redis, gate: str, *, count: int) -> None:
    """Let `count` bodies go that wait at a gate, now or later."""
    client.rpush(_GATE + gate, *["go"] * count)


def say(client: redis.Redis, word: str) -> None:
    """Leave a word for bodies that look for it."""
    client.set(_WORD + word, "said")


def was_said(word: str) -> bool:
    return bool(_client.exists(_WORD + word))


def counted(what: str) -> None:
    """Count one more."""
    _client.incr(_COUNT + what)


def count(client: redis.Redis, what: str) -> int:
    """How often it was counted."""
    found: bytes | None = client.get(_COUNT + what)  # type: ignore[assignment]  # the stubs know async clients too
    return int(found or 0)
