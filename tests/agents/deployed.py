"""A kind of which a newer version comes with a deploy: a file in the home, which processes see when they start.

1: deploy_begin | deploy_end        2: deploy_begin | deploy_check | deploy_end
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pydantic

from agentapp import conf, registry
from agentapp.flows import Flow, Step
from agentapp.runtime import JobContext, job
from tests.agents import record

NEWER = "newer-version"


class Deploy(pydantic.BaseModel):
    """`gate`: where the first step waits; empty = it ends at once."""

    model_config = pydantic.ConfigDict(extra="forbid")

    gate: str = ""


@job(queue="model")
def deploy_begin(ctx: JobContext, *, gate: str) -> dict[str, Any]:
    if gate:
        record.wait_at(gate)
    return {"begun": True}


@job(queue="retrieval")
def deploy_check(ctx: JobContext, *, begun: bool) -> dict[str, Any]:
    return {"checked": begun}


@job(queue="documents")
def deploy_end(ctx: JobContext, *, begun: bool, checked: bool = False) -> dict[str, Any]:
    return {"checked": checked}


def _flow(version: int, *steps: Step) -> Flow:
    first = Step("deploy_begin", bind={"gate": "input.gate"})
    result = {"checked": "deploy_end.checked"}
    return Flow(kind="deployed", version=version, input=Deploy, stages=(first, *steps), result=result)


def deploy(home: Path) -> None:
    """Let processes of this home know the newer version from their next start on."""
    (home / NEWER).touch()


registry.add_flow(_flow(1, Step("deploy_end", bind={"begun": "deploy_begin.begun"})))
if (conf.home() / NEWER).exists():
    registry.add_flow(
        _flow(
            2,
            Step("deploy_check", bind={"begun": "deploy_begin.begun"}),
            Step("deploy_end", bind={"begun": "deploy_begin.begun", "checked": "deploy_check.checked"}),
        )
    )
