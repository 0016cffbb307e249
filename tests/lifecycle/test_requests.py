"""What is asked of the moves for lists is the same at both ends: a class in Python, a type in SQL."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest
from django.db import connection

from agentapp.lifecycle import function_set
from agentapp.lifecycle.requests import ClaimRequest, EffectRequest, SettleRequest, Taker

# What a field may be in SQL, by its annotation. Ids and amounts of money travel as texts.
KINDS = {
    "str": {"text", "uuid", "numeric"},
    "int": {"bigint", "integer"},
    "float": {"double precision"},
    "bool": {"boolean"},
    "Sequence[str]": {"text[]"},
    "Mapping[str, str]": {"jsonb"},
    "dict[str, Any]": {"jsonb"},
    "Sequence[dict[str, Any]]": {"jsonb"},
}
# What the moves tell each other, and nobody tells them.
OF_THE_MOVES = {"taker": {"choice", "done", "token", "now"}}


def attributes(name: str) -> dict[str, str]:
    """The attributes of a type of this set, with their types."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute"
            " WHERE attrelid = %s::regclass AND attnum > 0",
            [f"{function_set.SCHEMA}.{name}"],
        )
        return dict(cursor.fetchall())


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("request_class", "name"),
    [
        (Taker, "taker"), (ClaimRequest, "claim_request"), (SettleRequest, "settle_request"),
        (EffectRequest, "effect_request"),
    ],
)  # fmt: skip
def test_a_request_has_the_fields_of_its_type(request_class: Any, name: str) -> None:
    known = {field.name: str(field.type).removesuffix(" | None") for field in fields(request_class)}
    in_sql = attributes(name)

    assert set(known) == set(in_sql) - OF_THE_MOVES.get(name, set())
    assert {field: kind for field, kind in known.items() if in_sql[field] not in KINDS[kind]} == {}
