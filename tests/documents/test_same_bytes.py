"""The same bytes again, asked for in another way."""

from __future__ import annotations

import pytest

from tests import harness
from tests.documents.conftest import Take

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("other", "first_is_over"),
    [
        ({"collection": "help"}, False),
        ({"title": "Other"}, False),
        ({"charset": "utf-8"}, True),
        ({"media_type": "text/plain"}, True),
    ],
)
def test_the_same_bytes_are_taken_in_again_where_they_are_to_become_something_else(
    upload: Take, other: dict[str, str], first_is_over: bool
) -> None:
    first = upload(b"# Refunds\n\nWithin 30 days.", source="notes", charset="latin-1", media_type="text/markdown")
    if first_is_over:
        harness.drain()
    asked = {"charset": "latin-1", "media_type": "text/markdown"} | other
    second = upload(b"# Refunds\n\nWithin 30 days.", source="notes", **asked)

    assert second.task_id != first.task_id
    assert upload(b"# Refunds\n\nWithin 30 days.", source="notes", **asked).task_id == second.task_id
    harness.drain()
    assert upload(b"# Refunds\n\nWithin 30 days.", source="notes", **asked).task_id == second.task_id
    second.refresh_from_db()
    wanted = {"title": "Refunds", "media_type": "text/markdown"} | other
    wanted.pop("charset", "")
    assert {name: getattr(second, name) for name in wanted} == wanted
