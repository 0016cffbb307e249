"""Bodies that write artifacts, or use the ORM, all the time, until they are told to stop."""

from __future__ import annotations

import time
from typing import Any

import pydantic

from agentapp import registry
from agentapp.flows import FanOut, Flow
from agentapp.models import Document, Workflow
from agentapp.runtime import JobContext, job
from tests.agents import record


class Writers(pydantic.BaseModel):
    """`stop`: the record's word that ends them."""

    model_config = pydantic.ConfigDict(extra="forbid")

    writers: list[int]
    stop: str


@job(queue="model", timeout_s=120)
def keep_writing(ctx: JobContext, *, number: int, stop: str) -> dict[str, Any]:
    written = 0
    while not record.was_said(stop):
        ctx.artifacts.write(f"{number}: {written}")
        written += 1
        time.sleep(0.05)
    return {"written": written}


registry.add_flow(
    Flow(kind="writers", version=1, input=Writers,
         stages=(FanOut("keep_writing", over="input.writers", each="number", bind={"stop": "input.stop"}),))
)  # fmt: skip


@job(queue="model", timeout_s=1800)
def keep_asking(ctx: JobContext, *, number: int, stop: str) -> dict[str, Any]:
    """Use the ORM without a pause, as a team's own body may: nothing of ours stands between."""
    while not record.was_said(stop):
        tenant = Workflow.objects.select_related("tenant").get(pk=ctx.workflow_id).tenant
        assert not Document.objects.filter(tenant=tenant, source="nobody's").exists()
        record.counted(f"{stop}:{number}")
    return {"number": number}


registry.add_flow(
    Flow(kind="askers", version=1, input=Writers,
         stages=(FanOut("keep_asking", over="input.writers", each="number", bind={"stop": "input.stop"}),))
)  # fmt: skip
