"""The one place that makes a client of Redis or Valkey for what is asked beside Celery: streams, previews, presence.

An address is read in one way: kombu's transport gets the same text, with TLS spelled out by config/addresses.py.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings

from agentapp.dispatch.brokers import choice


@contextmanager
def _hidden(*names: str) -> Iterator[None]:
    """Around imports at start: these modules cannot be imported, unless they are loaded already."""
    hidden = [name for name in names if name not in sys.modules]
    # What Python takes for a module that is not there.
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


# Where OpenTelemetry is installed, redis-py imports what makes metrics of it, for metrics of its own that are off here:
# a tenth of the CPU of every start.
with _hidden("opentelemetry.metrics", "opentelemetry.sdk.metrics"):
    from redis import Redis, RedisError
    from redis.asyncio import Redis as AsyncRedis
    from redis.asyncio.retry import Retry as AsyncRetry
    from redis.backoff import NoBackoff
    from redis.retry import Retry

__all__ = [
    "AsyncRedis", "Redis", "RedisError", "address", "connect", "connect_async", "connect_once", "dispensable",
]  # fmt: skip


@contextmanager
def dispensable() -> Iterator[None]:
    """Ask for what we can do without: a server that refuses it, or does not know the command, is as good as away.

    Raises:
        ConnectionError: there is no answer.
    """
    try:
        yield
    except RedisError as error:
        raise ConnectionError(f"the broker's server gives no answer: {error}") from error


def address() -> str:
    """Return the address of the Redis or Valkey for what is asked beside Celery: REDIS_URL, or else the broker where it
    is one; nothing where there is none."""
    if settings.REDIS_URL:
        return str(settings.REDIS_URL)
    return settings.BROKER_URL if choice.chosen().capabilities.notifies else ""


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
