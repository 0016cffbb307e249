"""The tools of a tenant's tool servers, for a job of it."""

from __future__ import annotations

from collections.abc import Sequence

from agentapp.lifecycle.opened import Claimed
from agentapp.models import Stage
from agentapp.tools import conversation
from agentapp.tools.registry import Tool
from agentapp.tools.servers import remote


def of_run(job: Claimed, names: Sequence[str] | None) -> list[Tool]:
    """Return what may be offered. A task whose plan an earlier release has made cannot run these tools: the worker
    classes of its calls are fixed there."""
    found = remote.of_run(job.tenant_id, names)
    stages = Stage.objects.filter(workflow_id=job.workflow_id, name=conversation.RESULTS)
    return found if found and stages.filter(spec__queues__contains=[remote.QUEUE]).exists() else []


def at_run(job: Claimed, name: str, *, pin: str) -> Tool | None:
    """Return the tool of a call as it is now; None where the name is no server's."""
    return remote.at_run(job.tenant_id, name, pin=pin)
