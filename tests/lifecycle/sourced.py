"""Drafts that cite rows of the knowledge base, and a job that may have them written again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pydantic
import pytest

from agentapp import clock, registry
from agentapp.flows import Decision, Flow, Step
from agentapp.ids import uuid7
from agentapp.lifecycle import refresh_draft
from agentapp.lifecycle.opened import Claimed
from agentapp.models import Approval, Chunk, Document, Job, Memory, Tenant, Workflow
from agentapp.services import workflows
from agentapp.services.principals import Principal
from tests.harness import drain, run_workflow
from tests.lifecycle.test_locks import take

KIND, WITHOUT = "probe_sourced", "probe_sourced_without"


class Sourced(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")

    sources: list[dict[str, Any]]
    text: str = "hello"


@pytest.fixture(autouse=True)
def sourced_kinds() -> Iterator[None]:
    before = dict(registry.flows)
    for kind, way in ((KIND, "probe_first"), (WITHOUT, None)):
        registry.add_flow(
            Flow(
                kind=kind,
                version=1,
                input=Sourced,
                stages=(
                    Step("probe_first", bind={"text": "input.text"}),
                    Step("probe_ask", bind={"text": "probe_first.text"}),
                    Decision(
                        back_to="probe_ask",
                        refresh_from=way,
                        bind={
                            "content": "probe_ask.content",
                            "content_sha256": "probe_ask.content_sha256",
                            "sources": "input.sources",
                        },
                    ),
                    Step("probe_tell", bind={"approval_id": "approval.approval_id"}),
                ),
            )
        )
    yield
    registry.flows.clear()
    registry.flows.update(before)


def passage(tenant: Tenant, text: str = "A lamp costs 5 EUR.") -> dict[str, Any]:
    """A passage of a document, cited."""
    now = clock.now()
    document = Document.objects.create(
        tenant=tenant, source=str(uuid7()), title="Prices", sha256="", size=9, created_at=now, updated_at=now
    )
    chunk = Chunk.objects.create(document=document, tenant=tenant, position=0, text=text)
    return cited(chunk)


def cited(chunk: Chunk) -> dict[str, Any]:
    digest = hashlib.sha256(chunk.text.encode()).hexdigest()
    return {
        "n": 1, "title": "Prices", "source": "documents", "id": str(chunk.pk), "document": str(chunk.document_id),
        "sha256": digest,
    }  # fmt: skip


def load_again(source: dict[str, Any], text: str) -> None:
    """As a new text of the document does: all of its passages are new ones."""
    old = Chunk.objects.get(pk=source["id"])
    Chunk.objects.filter(pk=old.pk).delete()
    Chunk.objects.create(document_id=old.document_id, tenant_id=old.tenant_id, position=0, text=text)


def delete(source: dict[str, Any]) -> None:
    Document.objects.filter(pk=source["document"]).delete()


def fact(tenant: Tenant, text: str, **more: Any) -> Memory:
    now = clock.now()
    more = {"fact_id": uuid7()} | more
    return Memory.objects.create(
        tenant=tenant, about="a@b.test", text=text, text_sha256=hashlib.sha256(text.encode()).hexdigest(),
        is_untrusted=True, written_by="test", valid_from=now, **more,
    )  # fmt: skip


def asked(principal: Principal, *sources: dict[str, Any], kind: str = KIND) -> Approval:
    task = run_workflow(principal, kind, {"sources": list(sources)})
    return Approval.objects.get(workflow=task)


def refresher(principal: Principal) -> Claimed:
    """A running job that may ask for changes."""
    task = workflows.submit(principal, kind="refresh_stale_drafts", input={})
    claimed = take(Job.objects.get(workflow=task))
    assert isinstance(claimed, Claimed)
    return claimed


def found(principal: Principal, *, after: UUID = refresh_draft.FIRST, limit: int = 100) -> refresh_draft.Found:
    (tenant_id,) = principal.tenant_ids or frozenset()
    return refresh_draft.find(tenant_id, after=after, limit=limit)


def refresh(job: Claimed, approval: Approval, *, most: int = 3) -> str:
    draft = {"id": str(approval.pk), "task": str(approval.workflow_id), "content_sha256": approval.content_sha256}
    return refresh_draft.refresh(job, draft, most=most)[0]


def pending(approval: Approval) -> Approval:
    drain(Workflow.objects.get(pk=approval.workflow_id))
    return Approval.objects.get(workflow_id=approval.workflow_id, state="pending")
