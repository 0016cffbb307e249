"""The SQL functions of this release: sources, frozen copy and what is installed are the same."""

from __future__ import annotations

import re

import pytest
from django.db import connection

from agentapp.lifecycle import function_set

DEFINITION = re.compile(r"FUNCTION (\w+)\.(\w+)\(.*?\bAS \$\$(.*?)\$\$", re.DOTALL)


def defined_in(text: str) -> dict[str, str]:
    """The functions of a script, by name, each with its body."""
    return {name: body for _, name, body in DEFINITION.findall(text)}


def test_the_frozen_copy_is_what_the_sources_say() -> None:
    assert function_set.FROZEN.read_text() == function_set.text(), "Run `manage.py write_moves`."


def test_every_function_is_in_the_schema_of_the_set() -> None:
    for path in function_set.SOURCES.glob("*.sql"):
        names = re.findall(r"(?:FUNCTION|TYPE) (\w[\w.]+)(?:\(| AS \()", path.read_text())
        assert names and all(name.startswith("moves.") for name in names), path.name


@pytest.mark.django_db
def test_what_is_installed_is_the_frozen_copy() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT proname, prosrc FROM pg_proc WHERE pronamespace = %s::regnamespace", [function_set.SCHEMA]
        )
        installed = dict(cursor.fetchall())

    assert installed == defined_in(function_set.FROZEN.read_text())
