"""Where a secret could have been written: every row, every key of the broker, and texts that a test adds."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Collection, Mapping
from typing import Any, cast
from urllib.parse import quote

import redis

# Of a message of Celery.
_BODY = re.compile(r'"body": ?"([A-Za-z0-9+/=]+)"')
_READERS = {
    b"string": lambda broker, key: broker.get(key),
    b"list": lambda broker, key: broker.lrange(key, 0, -1),
    b"set": lambda broker, key: sorted(broker.smembers(key)),
    b"zset": lambda broker, key: broker.zrange(key, 0, -1),
    b"hash": lambda broker, key: sorted(broker.hgetall(key).items()),
    b"stream": lambda broker, key: broker.xrange(key),
}


def hits(places: Mapping[str, str], secrets: Collection[str]) -> set[str]:
    """Return the places in which one of these stands, however it is spelled there."""
    spelled = {
        spelling
        for secret in secrets
        for spelling in (
            secret,
            json.dumps(secret)[1:-1],
            repr(secret)[1:-1],
            html.escape(secret),
            quote(secret, safe=""),
        )
    }
    # A value of JSON in a row, and that in the row of a list: each time with backslashes of its own.
    spelled |= {json.dumps(spelling)[1:-1] for spelling in spelled}
    return {place for place, text in places.items() if any(spelling in text for spelling in spelled)}


def now(cursor: Any) -> str:
    """Return the transaction of this moment; see `of_rows`."""
    cursor.execute("SELECT pg_current_xact_id()::xid::text")
    return str(cursor.fetchone()[0])


def of_rows(cursor: Any, *, since: str | None = None) -> dict[str, str]:
    """Return all rows of all tables, by table; or those that were written since a transaction."""
    cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    found: dict[str, str] = {}
    for (table,) in cursor.fetchall():
        written = "age(t.xmin) <= age(%s::xid)" if since else "%s::xid IS NULL"
        cursor.execute(f'SELECT t::text FROM "{table}" t WHERE {written}', [since])
        found[table] = "\n".join(row for (row,) in cursor.fetchall())
    return found


def of_broker(broker: redis.Redis) -> dict[str, str]:
    """Return all keys of the broker with what they hold."""
    found: dict[str, str] = {}
    for key in cast("list[bytes]", broker.keys("*")):
        kind = cast("bytes", broker.type(key))
        # A key may end between two looks.
        value = _READERS[kind](broker, key) if kind in _READERS else None
        found[f"broker {key!r}"] = readable(value)
    return found


def readable(value: Any) -> str:
    """Return what bytes say, in a value of any shape: no backslash that `repr` would add."""
    if isinstance(value, bytes):
        text = value.decode(errors="replace")
        return text + "".join(f" {base64.b64decode(body).decode(errors='replace')}" for body in _BODY.findall(text))
    if isinstance(value, list | tuple):
        return " ".join(map(readable, value))
    if isinstance(value, dict):
        return " ".join(map(readable, value.items()))
    return str(value)
