"""A new task that starts from a stage of an earlier one."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db import DataError

from agentapp.errors import IllegalMove
from agentapp.lifecycle import database
from agentapp.lifecycle.opened import Opened
from agentapp.lifecycle.submit import NamedRequest, cannot_open, check_known, marks, of_request
from agentapp.policies.intake import QueuePressure

Json = dict[str, Any]


def fork(
    origin_id: UUID,
    *,
    fork_id: UUID,
    from_stage: str,
    stages: list[Json],
    result_bind: Json,
    owner: dict[str, int | None],
    actor: str,
    input: Json | None = None,
    request: NamedRequest | None = None,
) -> tuple[Opened, QueuePressure]:
    """Write down a task that shares the stages before `from_stage` with its origin, and open that stage. One commit.

    `stages` is the plan from there on, `owner` the principal's two columns. Of a stage that was repeated, the latest
    round that the origin has reached is meant. Without `input` the origin's is used. Returns what to publish, and how
    many tasks wait: where that says that it was refused, nothing is stored.

    Raises:
        IllegalMove: the origin has not come as far; the sentence names the stages that it has reached.
        InvalidInput: the stage cannot be opened with this input.
        AskedBefore, KeyUsedOtherwise: as in `submit`.
    """
    try:
        answer = database.call(
            "fork", id=fork_id, origin=origin_id, actor=actor, api_key=owner["api_key_id"], user=owner["user_id"],
            from_stage=from_stage, stages=database.Jsonb(stages), result_bind=result_bind, input=input,
            **of_request(request), **marks(),
        )  # fmt: skip
    except DataError as error:
        raise cannot_open(error, from_stage) from error
    check_known(answer)
    if "refused" in answer:
        return Opened(), QueuePressure.of(answer)
    if answer["status"] != "ok":
        raise IllegalMove(_too_far(from_stage, answer["stages"]))
    return Opened.of(answer), QueuePressure()


def _too_far(stage: str, reached: list[str]) -> str:
    if not reached:
        return "The stages of this task are deleted by now, so it cannot be forked. Submit a new task."
    return f"This task has not come as far as {stage}. It has reached: {', '.join(reached)}."
