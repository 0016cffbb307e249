"""Each operation of the API as the role of the web process, which is bound to tenants: it answers as without. [H4]"""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest
from django.db import transaction

from tests.api import operations
from tests.api.operations import Documented
from tests.api.test_operations import ALL, World
from tests.api.test_operations import standing as standing
from tests.api.test_operations import world as world
from tests.privileges import roles

pytestmark = pytest.mark.django_db


def asked(operation: Documented, world: World, *, number: int, query: str, is_bound: bool) -> tuple[int, Any]:
    """The status of an answer, and what a list holds. What the request has changed is taken back."""
    with transaction.atomic():
        operations.prepare(operation, world.almighty, world.known)
        path = operations.address(operation, world.known)
        with roles.session_of("web") if is_bound else nullcontext():
            answer = operations.ask(world.almighty, operation, path, number=number, query=query)
        transaction.set_rollback(True)
    found = answer.json() if operation.id.startswith("list_") else {}
    return answer.status_code, [row.get("id", row) for row in found.get("results", ())]


def test_each_operation_answers_as_without(world: World) -> None:
    roles.make_bound()
    assert len(ALL) > 80
    different = []
    for operation in ALL:
        for number in range(len(operation.row.bodies)):
            for query in operation.row.queries:
                as_owner, as_web = (
                    asked(operation, world, number=number, query=query, is_bound=is_bound) for is_bound in (False, True)
                )
                if as_owner != as_web:
                    different.append(f"{operation.id}{query}: {as_owner} became {as_web}")
    assert not different, "\n".join(different)
