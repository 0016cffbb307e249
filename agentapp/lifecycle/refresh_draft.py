"""approval: pending -> changes_requested, by a job, because sources that it cites have changed"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from agentapp.errors import PermissionDenied
from agentapp.lifecycle import database, owned
from agentapp.lifecycle.opened import Claimed, Opened

# Behind it are all.
FIRST = UUID(int=0)


@dataclass(frozen=True)
class Found:
    """What a look at the next approvals has found: so many were `looked` at, these drafts are `stale`; `last` is where
    to go on, None: there are no more."""

    looked: int
    stale: list[dict[str, str]]
    last: UUID | None


def find(tenant_id: int, *, after: UUID, limit: int) -> Found:
    """Look at the next `limit` pending approvals of a tenant. Nothing is locked."""
    answer = database.call("stale_drafts", tenant=tenant_id, after=after, limit=limit)
    return Found(answer["looked"], answer["stale"], UUID(answer["last"]) if answer["last"] else None)


def refresh(job: Claimed, draft: dict[str, Any], *, most: int) -> tuple[str, Opened]:
    """Let a draft be written again; return "ok" or why it is not, and what to publish. Idempotent for one task.

    Raises:
        Cancelled, LostLease: the job is no longer this attempt's; nothing is changed.
        PermissionDenied: jobs of this type may not.
    """
    answer = database.call(
        "refresh_draft", workflow=UUID(draft["task"]), approval=UUID(draft["id"]), actor=f"task:{job.workflow_id}",
        job=job.id, token=job.token, content_sha256=draft["content_sha256"], most=most,
    )  # fmt: skip
    status = str(answer["status"])
    if status in ("lost", "not allowed"):
        owned.check(job, answer)
        raise PermissionDenied(f"A job of the type {job.type} may not ask for changes of a draft.")
    return status, Opened.of(answer) if status == "ok" else Opened()
