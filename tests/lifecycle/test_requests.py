"""What is asked of the moves for lists, and what they answer, is the same at both ends: in Python and in SQL."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest
from django.db import connection

from agentapp.ids import uuid7
from agentapp.lifecycle import claimed, database, effects, function_set, settle
from agentapp.lifecycle.invocation import Jsonb
from agentapp.lifecycle.requests import ClaimRequest, EffectRequest, SettleRequest, Taker
from agentapp.services.principals import Principal
from tests.lifecycle.test_lane import claims, item, parts_of, settles

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


class Read(dict[str, Any]):
    """An answer that knows which of its keys were asked for."""

    def __init__(self, answer: dict[str, Any]) -> None:
        super().__init__(answer)
        self.asked: set[str] = set()

    def __getitem__(self, key: str) -> Any:
        self.asked.add(key)
        return super().__getitem__(key)

    def get(self, key: str, default: Any = None) -> Any:
        self.asked.add(key)
        return super().get(key, default)


# What others read of an answer: whether the move was made, and what is told by `changes`.
BESIDE = {"status", "task", "seq"}
# Of a payload that is too large to be sent behind locks.
APART = {"apart"}


@pytest.mark.django_db
def test_all_that_a_claim_and_a_settle_answer_is_read_and_nothing_else(principal: Principal) -> None:
    """A key that is misspelt at one end would be a default at the other."""
    _, (part, last) = parts_of(principal, 2)
    held, next_held = (Read(answer) for answer in claims(part, last))
    settles(item(held, {"double": 2}))
    (answer,) = settles(item(next_held, {"double": 4}, next_token=str(uuid7())))

    claimed.read(held)
    settled, taken = Read(answer), Read(answer["taken"])
    settle.read(settled)
    claimed.read(taken)

    assert held.asked - APART == set(held)
    assert settled.asked == set(settled) - BESIDE and set(settled) > BESIDE
    assert taken.asked - APART - {"tokens", "began"} == set(taken) - {"tokens", "began"}


@pytest.mark.django_db
def test_all_that_is_answered_of_an_effect_that_was_begun_before_is_read(principal: Principal) -> None:
    held = claimed.read(claims(*parts_of(principal, 1)[1])[0])
    request = EffectRequest(
        workflow=str(held.workflow_id), job=str(held.id), token=str(held.token), tenant=held.tenant_id, key="mail:1",
        type="probe", request_sha256="0" * 64,
    )  # fmt: skip
    again = [database.call_many("begin_effects", items=Jsonb([vars(request)])) for _ in range(2)][-1]
    answer = Read(again[0] or {})

    assert effects.read(answer, request_sha256="1" * 64).request_sha256 == "0" * 64
    assert answer.asked == set(answer)
