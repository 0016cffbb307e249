"""The one place that makes a client of the broker's server, for what is asked beside Celery: probes, streams, drills.

One address, read in one way: kombu's transport gets the same BROKER_URL, with TLS spelled out by config/addresses.py.
"""

from __future__ import annotations

from redis import Redis, RedisError
from redis.asyncio import Redis as AsyncRedis
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

__all__ = ["AsyncRedis", "Redis", "RedisError", "connect", "connect_async", "connect_once", "speaks_redis"]


def speaks_redis(url: str) -> bool:
    """Tell whether the broker at this address is one that can be asked here."""
    return url.startswith(("redis://", "rediss://", "unix://"))


def connect(url: str, *, timeout_s: float) -> Redis:
    """Return a client that waits `timeout_s` at most to connect and for each answer. It connects at first use."""
    return Redis.from_url(url, socket_connect_timeout=timeout_s, socket_timeout=timeout_s)


def connect_once(url: str, *, timeout_s: float) -> Redis:
    """Return such a client that does not try again by itself: a call takes no longer than twice `timeout_s`."""
    return Redis.from_url(url, socket_connect_timeout=timeout_s, socket_timeout=timeout_s, retry=Retry(NoBackoff(), 0))


def connect_async(url: str, *, timeout_s: float) -> AsyncRedis:
    """Return a client for an event loop, which does not try again by itself."""
    return AsyncRedis.from_url(
        url, socket_connect_timeout=timeout_s, socket_timeout=timeout_s, retry=AsyncRetry(NoBackoff(), 0)
    )
