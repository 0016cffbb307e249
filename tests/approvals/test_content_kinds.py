"""What an approval is about has one definition, which Python and Postgres read from one table. [G2]"""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import connection

from agentapp.lifecycle.function_set import in_schema
from agentapp.models.approval_policy import ContentKind
from agentapp.policies.content import is_mail, kind_of

pytestmark = pytest.mark.django_db

MAIL = {"to": "ada@customer.example", "subject": "Hello", "body": "As agreed."}
KINDS: list[tuple[dict[str, Any], str]] = [
    (MAIL, "mail"),
    ({"to": "+49 30 1234", "text": "A short message has no subject."}, "mail"),
    ({"to": None}, "mail"),
    ({"subject": "Hello", "body": "To nobody."}, "other"),
    ({}, "other"),
    ({"TO": "ada@customer.example"}, "other"),
    ({"budget": "turns", "subject": "Raise it?", "body": "x", "raise_to": "2"}, "budget"),
    ({**MAIL, "budget": "turns"}, "budget"),
    ({"calls": [{"tool": "send_message", "arguments": MAIL}]}, "tool_arguments"),
    ({**MAIL, "calls": []}, "tool_arguments"),
]


@pytest.mark.parametrize(("content", "kind"), KINDS)
def test_python_and_postgres_say_the_same(content: dict[str, Any], kind: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(in_schema("SELECT moves.content_kind(%s::jsonb)"), [json.dumps(content)])
        assert (kind_of(content), cursor.fetchone()) == (kind, (kind,))
    assert is_mail(content) == (kind == "mail")


def test_the_kinds_are_those_that_a_policy_names() -> None:
    assert {kind for _, kind in KINDS} == {*ContentKind.values, "other"}
