"""How far documents are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from agentapp.models import Document, Workflow
from agentapp.states import WORKFLOW_FINAL, DocumentState, WorkflowState


@dataclass(frozen=True)
class Progress:
    """How far a document is: its state, and a sentence where its file could not be processed."""

    state: str
    error: str = ""


def of(rows: Sequence[Document]) -> dict[UUID, Progress]:
    """Say how far these documents are. What keeps a workflow from its end keeps its document from being ready."""
    waiting = {row.task_id for row in rows if row.state == DocumentState.PROCESSING and row.task_id}
    tasks = Workflow.objects.in_bulk(waiting) if waiting else {}
    return {row.pk: _progress(row, tasks) for row in rows}


def _progress(row: Document, tasks: dict[UUID, Workflow]) -> Progress:
    if row.state != DocumentState.PROCESSING:
        return Progress(row.state, row.error)
    task = tasks.get(row.task_id) if row.task_id else None
    if task is None or task.state in WORKFLOW_FINAL:
        why = (task.error or {}).get("message", "") if task else ""
        return Progress(DocumentState.FAILED, f"The file was not processed. {why or 'Upload the file again.'}")
    if task.state == WorkflowState.NEEDS_ATTENTION:
        return Progress(DocumentState.FAILED, "It is not processed yet: a job failed, and an operator must look at it.")
    return Progress(DocumentState.PROCESSING)
