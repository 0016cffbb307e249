"""Approved content, read again at the last moment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from agentapp.errors import ContentChanged, PermissionDenied
from agentapp.lifecycle.opened import Claimed
from agentapp.models import Approval
from agentapp.policies.content import canonical_sha256
from agentapp.states import ApprovalState


@dataclass(frozen=True)
class ApprovedContent:
    approval_id: UUID
    content: dict[str, Any]
    sha256: str


def read(job: Claimed, approval_id: str) -> ApprovedContent:
    """Return what was approved, if it still is exactly that. [G3]

    Raises:
        ContentChanged: a byte or the recipient is no longer what the decision bound.
        PermissionDenied: the plan of this task holds no approval under that id. What a job has asked is that job's
            alone, which reads it by asking again.
    """
    approval = Approval.objects.filter(
        pk=approval_id, tenant_id=job.tenant_id, workflow_id=job.workflow_id, state=ApprovalState.APPROVED, job=None
    ).first()
    if approval is None:
        raise PermissionDenied(f"This task holds no approval {approval_id}.")
    sha256 = canonical_sha256(approval.content)
    if sha256 != approval.approved_sha256:
        raise ContentChanged(
            "The content is no longer what was approved.",
            approval_id=approval.pk, content=approval.content, sha256=sha256,
        )  # fmt: skip
    return ApprovedContent(approval.pk, approval.content, sha256)
