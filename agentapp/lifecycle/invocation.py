"""A move as it is called in SQL, and what it is given as Postgres can take it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from psycopg.types.json import Jsonb as Jsonb

from agentapp.lifecycle import function_set
from agentapp.policies import storable


def by_name(function: str, arguments: dict[str, Any]) -> tuple[str, list[Any]]:
    """Return the call of a move with its arguments by name, and their values."""
    names = ", ".join(f"p_{name} => %s" for name in arguments)
    return f"{function_set.SCHEMA}.{function}({names})", [_parameter(value) for value in arguments.values()]


def _parameter(value: Any) -> Any:
    """Return an argument as the driver takes it. JSON is marked as such: as a mere text it would pass for any type."""
    if isinstance(value, str):
        return storable.text(value)
    if isinstance(value, Jsonb):
        return Jsonb(value.obj, dumps=json_text)
    if isinstance(value, Mapping):
        return Jsonb(dict(value), dumps=json_text)
    if isinstance(value, list | tuple):
        return [_parameter(item) for item in value]
    return value


def json_text(payload: Any) -> str:
    """Return a value as JSON."""
    text = json.dumps(payload)
    # Characters that Postgres does not keep would make a record of theirs impossible. Most texts have none of either.
    if storable.may_hold_unstorable(text):
        text = json.dumps(storable.value(payload))
    return text
