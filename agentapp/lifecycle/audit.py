"""What is kept of who has changed what: a GateChange for each change of a row that people edit, and, by triggers, an
entry in the audit chain for each of these, for each decision of a person or key about a task, and for each erase.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from typing import Any

from django.db.models import Model, QuerySet

from agentapp.lifecycle import database
from agentapp.models import AuditEntry, GateChange

Json = dict[str, Any]
# How long a GateChange is kept. Its entry in the chain stays longer.
CHANGES_KEPT = timedelta(days=365)
# The kinds of records of which triggers write entries, by their models' names.
SOURCES = {"GateChange": "change", "History": "history", "Erasure": "erasure"}
_BLANK: Json = {"tenant_number": None, "actor": "", "action": "", "target": "", "is_erased": True}


def note(
    target: str, action: str, *, actor: str, reason: str = "", before: Json | None = None, after: Json | None = None
) -> None:
    """Keep a change, in the transaction that makes it. `target` names it for people, as in `retention of agent`."""
    GateChange.objects.create(
        at=database.now(), actor=actor, action=action, target=target, reason=reason, before=before, after=after
    )


def blank(entries: QuerySet[AuditEntry], *, limit: int) -> int:
    """Take out of up to `limit` of these entries what they say, and return how many. Numbers and digests stay."""
    with database.atomic():
        chosen = entries.filter(is_erased=False).order_by("pk").values_list("pk", flat=True)[:limit]
        return AuditEntry.objects.filter(pk__in=list(chosen)).update(**_BLANK)


def blank_records(model: type[Model], keys: Collection[Any]) -> None:
    """The same for entries about records that are erased. For the transaction that deletes them."""
    source = SOURCES.get(model._meta.object_name or "")
    if source is None:
        return
    with database.atomic():
        AuditEntry.objects.filter(source=source, source_key__in=[str(key) for key in keys]).update(**_BLANK)
