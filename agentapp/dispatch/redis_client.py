"""The one place that makes a client of the broker's server, for what is asked beside Celery: probes, drills, tests.

One address, read in one way: kombu's transport gets the same BROKER_URL, with TLS spelled out by config/addresses.py.
"""

from __future__ import annotations

from redis import Redis, RedisError

__all__ = ["Redis", "RedisError", "connect"]


def connect(url: str, *, timeout_s: float) -> Redis:
    """Return a client that waits `timeout_s` at most to connect and for each answer. It connects at first use."""
    return Redis.from_url(url, socket_connect_timeout=timeout_s, socket_timeout=timeout_s)
