"""The fixture `platform`: what a test of a package runs, and what it sees of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pydantic

from agentapp import clock, registry
from agentapp.flows import Const, Flow, Step
from agentapp.llm.answers import Embeddings
from agentapp.models import Approval, Artifact, Tenant, Workflow
from agentapp.policies.permissions import API_SCOPES
from agentapp.services import api_keys, approvals, embeddings, principals, tenants, workflows
from agentapp.testing.offline_model import OfflineModel
from agentapp.testing.running import drain, make_due
from agentapp.testing.scripts import Turn, script
from agentapp.testing.seen import Task

Json = dict[str, Any]


class Nothing(pydantic.BaseModel):
    """The input of a task that has none."""


@dataclass(frozen=True)
class Platform:
    """A tenant with a key, a second tenant that must see nothing of it, and a model that answers offline.

    Jobs run in this process as in a worker's, against a real Postgres: claimed by their gates and scopes, performed,
    settled. A task runs until it is over or waits for a person or a time.
    """

    model: OfflineModel
    tenant: Tenant
    other_tenant: Tenant
    _principal: principals.Principal
    _stack: ExitStack

    @property
    def tenant_id(self) -> int:
        return self.tenant.pk

    def run(self, kind: str, input: Json | None = None) -> Task:
        """Submit a task of a workflow kind and run it.

        Raises:
            InvalidInput: as a client is answered with 422.
        """
        task = workflows.submit(self._principal, kind=kind, input=input or {})
        return self._go_on(task.pk)

    def run_job(self, name: str, **payload: Any) -> Task:
        """Run one job of a type, as a task of that stage alone; `task.job` is that job."""
        job_type = registry.job_type(name)
        kind = f"only_{job_type.name}"
        bind = {key: Const(value) for key, value in payload.items()}
        registry.add_flow(Flow(kind=kind, version=1, input=Nothing, stages=(Step(name, bind=bind),)))
        try:
            return self.run(kind)
        finally:
            del registry.flows[kind, 1]

    def run_agent(self, *turns: Turn, ask: str = "Do it.", tools: Sequence[str] = (), **input: Any) -> Task:
        """Run an agent whose model says this, turn by turn; without any turn it chooses by plain cues in `ask`.

        A turn is a list of calls, each made by `call`, or the text that ends the run. Only the tools that are named may
        be used, or, if none is, all that only read. `task.tool_results` is what the model was told.
        """
        chosen = {"tools": list(tools)} if tools else {}
        return self.run("agent", {"instruction": script(*turns, ask=ask), **chosen, **input})

    def decide(self, task: Task, decision: str = "approve", *, reason: str = "") -> Task:
        """Decide what a task waits for, as a person does (approve, reject, request_changes), and run on.

        Where several jobs ask, the oldest question is decided: the one that `task.approval` shows.
        """
        asked = Approval.objects.filter(workflow=task.id, state="pending").order_by("id").first()
        assert asked is not None, f"Nobody is asked about this task.\n{task.why}"
        approvals.decide(
            self._principal, asked.pk, decision=decision, content_sha256=asked.content_sha256, reason=reason
        )  # fmt: skip
        return self._go_on(task.id)

    def later(self, task: Task, *, seconds: float) -> Task:
        """Let time pass, so that what is tried again is due, and run on."""
        if clock.fixed() is None:
            self._stack.enter_context(clock.frozen_at(clock.now()))
        make_due(clock.Clock(), seconds)
        return self._go_on(task.id)

    def embed(self, texts: list[str], /, *, model: str = "") -> Embeddings:
        """Turn texts into vectors, as a source may."""
        return embeddings.of_tenant(self.tenant.pk)(texts, model=model)

    def text(self, artifact_id: str) -> str:
        """Return the text of an artifact that a job has written."""
        with Artifact.objects.get(pk=artifact_id, tenant=self.tenant).file.open("rb") as file:
            return bytes(file.read()).decode()

    def _go_on(self, task_id: UUID) -> Task:
        workflow = Workflow.objects.get(pk=task_id)
        drain(workflow)
        return Task.read(task_id)


@contextmanager
def opened(model: OfflineModel) -> Iterator[Platform]:
    """Make the two tenants, in the database of this test."""
    tenant = tenants.create(slug="sample", name="Sample Company")
    other = tenants.create(slug="other", name="Other Company")
    key, _ = api_keys.create(tenant=tenant, name="tests", scopes=list(API_SCOPES))
    with ExitStack() as stack:
        yield Platform(model, tenant, other, principals.of_key(key), stack)
