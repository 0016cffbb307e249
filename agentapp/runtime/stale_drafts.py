"""Drafts that wait for a person while what they cite has changed."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from agentapp.dispatch import publisher
from agentapp.lifecycle import refresh_draft
from agentapp.lifecycle.opened import Claimed
from agentapp.lifecycle.refresh_draft import Found
from agentapp.runtime.patience import BodyPatience


class Drafts:
    """Those of the tenant of a running job."""

    def __init__(self, job: Claimed, patience: BodyPatience) -> None:
        self._job = job
        self._patience = patience

    def find(self, *, after: str, limit: int) -> Found:
        """Look at the next `limit` pending approvals behind the one with the id `after`; empty: at the first."""
        begin = UUID(after) if after else refresh_draft.FIRST
        return self._patience(lambda: refresh_draft.find(self._job.tenant_id, after=begin, limit=limit))

    def refresh(self, draft: dict[str, Any], *, most: int) -> str:
        """Let one be written again from the sources as they are now, at most `most` times for one task. Return
        "ok", also where this task has done so before, or why it is not.

        Raises:
            Cancelled, LostLease: the job is no longer this attempt's.
            PermissionDenied: jobs of this type may not.
        """
        status, opened = self._patience(lambda: refresh_draft.refresh(self._job, draft, most=most))
        publisher.publish(opened)
        return status
