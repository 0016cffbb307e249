"""Write down a new run."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from agentapp.lifecycle import database
from agentapp.lifecycle.opened import Opened


def submit(
    *,
    workflow_id: UUID,
    tenant_id: int,
    api_key_id: int | None,
    user_id: int | None,
    actor: str,
    kind: str,
    version: int,
    priority: int,
    input: dict[str, Any],
    labels: dict[str, str],
    stages: list[dict[str, Any]],
    result_bind: dict[str, Any],
) -> Opened:
    """Store a task with its plan and open its first stage, in one round trip and one commit.

    `stages` is what `flows.plan` made. Returns what to publish.
    """
    return Opened.of(
        database.call(
            "agentapp_submit_v1",
            {
                "id": str(workflow_id), "tenant": tenant_id, "api_key": api_key_id, "user": user_id, "actor": actor,
                "kind": kind, "version": version, "priority": priority, "input": input, "labels": labels,
                "stages": stages, "result_bind": result_bind,
            },
        )
    )  # fmt: skip
