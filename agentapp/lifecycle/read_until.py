"""Up to when the tasks of a customer have been read for facts, so that each is read once.

What a customer had said before facts about them were erased does not come back from an old task, however their name is
written there: that mark holds for all spellings that fold together. A mark of a customer is a MemoryChange whose
`fact_id` is a keyed hash: it names nobody. It is kept as long as any MemoryChange.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.conf import settings
from django.db.models import Max
from django.utils.crypto import salted_hmac

from agentapp.lifecycle import database
from agentapp.models import MemoryChange
from agentapp.policies import naming

READ, ERASED = "read until", "erased until"

# UNION, not UNION ALL: a task is looked at once, also where it is both a fork and a continuation.
_BEGAN = """
WITH RECURSIVE line AS (
  SELECT id, forked_from, continues, parent, created_at FROM agentapp_workflow WHERE id = %s
  UNION
  SELECT w.id, w.forked_from, w.continues, w.parent, w.created_at FROM line
  JOIN agentapp_workflow w ON w.id = ANY (ARRAY[line.forked_from, line.continues, line.parent])
)
SELECT min(created_at) FROM line
"""


@dataclass(frozen=True)
class Marks:
    """When the newest task finished that was read of a customer, and when facts about them were last erased."""

    read: datetime | None = None
    erased: datetime | None = None

    def allow(self, *, began_at: datetime, finished_at: datetime) -> bool:
        """Whether a task may still be read. One that was begun before facts were erased may say what was erased."""
        return (self.read is None or finished_at > self.read) and (self.erased is None or began_at > self.erased)


def of(tenant_id: int, abouts: Collection[str]) -> dict[str, Marks]:
    """Return the marks of these customers."""
    # Also under the keys before the present one.
    secrets = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    spelled = {spelling for about in abouts for spelling in _spellings(about, ERASED)}
    named = {_mark(tenant_id, spelling, secret): spelling for spelling in spelled for secret in secrets}
    rows = MemoryChange.objects.filter(tenant_id=tenant_id, fact_id__in=named, action__in=(READ, ERASED)).order_by()
    latest: dict[tuple[str, str], datetime] = {}
    for mark, action, at in rows.values_list("fact_id", "action").annotate(Max("at")):
        key = named[mark], action
        latest[key] = max(at, latest.get(key, at))

    def newest(about: str, action: str) -> datetime | None:
        return max(filter(None, (latest.get((each, action)) for each in _spellings(about, action))), default=None)

    return {about: Marks(newest(about, READ), newest(about, ERASED)) for about in abouts}


def began_at(task_id: UUID) -> datetime:
    """Return when a task was begun, or the oldest one whose texts it has: it is a fork of that, goes on with its
    conversation, or works for it."""
    found: datetime = database.statement(_BEGAN, [task_id])
    return found


def put(tenant_id: int, about: str, action: str, at: datetime, *, actor: str) -> None:
    """Set a mark of a customer, READ or ERASED; it never goes back. Call it in the customer's turn."""
    marks = of(tenant_id, [about])[about]
    known = marks.read if action == READ else marks.erased
    if known is None or at > known:
        found = {_mark(tenant_id, spelling, settings.SECRET_KEY) for spelling in _spellings(about, action)}
        with database.atomic():
            MemoryChange.objects.filter(tenant_id=tenant_id, fact_id__in=found, action=action).delete()
            MemoryChange.objects.bulk_create(
                MemoryChange(tenant_id=tenant_id, fact_id=mark, at=at, action=action, actor=actor) for mark in found
            )


def _spellings(about: str, action: str) -> set[str]:
    """Under which names a mark is kept. What was read in one spelling says nothing of tasks in another. The release
    before kept, and reads, what was erased under the name as it is alone."""
    return {about, naming.folded(about)} if action == ERASED else {about}


def _mark(tenant_id: int, about: str, secret: str | bytes) -> UUID:
    keyed = salted_hmac("agentapp.memories.read_until", f"{tenant_id} {about}", secret=secret, algorithm="sha256")
    return UUID(bytes=keyed.digest()[:16])
