"""Entries are written by triggers, whatever the role of a session may do; the dispatcher's links them. [H4]"""

from __future__ import annotations

import pytest
from django.db import DatabaseError, transaction

from agentapp.lifecycle import audit, database
from agentapp.lifecycle.audit_chain import seal, verify
from agentapp.models import AuditEntry
from tests.privileges import roles

pytestmark = pytest.mark.django_db
FORBIDDEN = {"number": 9, "actor": "user:bob", "detail_sha256": "0" * 64, "is_erased": True, "link": "0" * 64}


def test_the_web_leaves_entries_that_only_the_dispatcher_links() -> None:
    roles.make()
    with roles.session_of("web"):
        audit.note("thing", "changed", actor="user:ada")
        assert AuditEntry.objects.get().number is None
    with roles.session_of("dispatcher"):
        head = seal()

    assert head is not None and (head.number, verify(kept_days=0).findings) == (1, [])


@pytest.mark.parametrize("process", ["web", "dispatcher", "worker_model"])
def test_no_role_says_what_an_entry_says(process: str) -> None:
    roles.make()
    audit.note("thing", "changed", actor="user:ada")
    with roles.session_of(process):
        for column, value in FORBIDDEN.items():
            if process == "dispatcher" and column in ("number", "link"):
                continue
            with pytest.raises(DatabaseError, match="permission denied"), transaction.atomic():
                AuditEntry.objects.update(**{column: value})
        with pytest.raises(DatabaseError, match="permission denied"), transaction.atomic():
            AuditEntry.objects.create(at=database.now(), number=1)
