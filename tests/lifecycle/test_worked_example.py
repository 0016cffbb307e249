"""The move that docs/howto/add_a_state_move.md adds, from the blocks of that page alone."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.db import connection

from agentapp.errors import IllegalMove
from agentapp.lifecycle.fail import retry_later
from agentapp.lifecycle.function_set import in_schema
from agentapp.lifecycle.opened import Claimed
from agentapp.services.principals import Principal
from tests.harness import histories_are_legal, path
from tests.lifecycle.test_locks import first_job, take
from tests.structure.source import ROOT

PAGE = (ROOT / "docs" / "howto" / "add_a_state_move.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


@pytest.mark.django_db
def test_the_example_works_as_it_is_printed(principal: Principal) -> None:
    (function,) = blocks("sql")
    _, module, test = blocks("python")
    with connection.cursor() as cursor:
        cursor.execute(in_schema(function))

    known: dict[str, Any] = {
        "Claimed": Claimed, "IllegalMove": IllegalMove, "Principal": Principal, "first_job": first_job,
        "histories_are_legal": histories_are_legal, "path": path, "pytest": pytest, "retry_later": retry_later,
        "take": take,
    }  # fmt: skip
    exec(compile(module, "retry_now.py", "exec"), known)
    exec(compile(test, "test_retry_now.py", "exec"), known)
    known["test_a_job_that_waits_for_its_back_off_runs_when_a_person_says_so"](principal)
