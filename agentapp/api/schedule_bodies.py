"""What clients send of schedules."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from agentapp.api.answers.values import like
from agentapp.api.schemas import Body, DeadlineS, LabelKey, LabelValue, Priority, change_like, shown
from agentapp.policies import schedules as policy
from agentapp.services import new_task, schedules
from agentapp.states import CatchUp, Overlap

EXAMPLE = {
    "name": "Morning question",
    "kind": "support_reply",
    "input": {
        "subject": "Refund",
        "body": "How do I get my money back?",
        "customer_email": "reader@example.org",
    },
    "cron": "0 8 * * 1-5",
    "timezone": "Europe/Berlin",
}
EveryS = Annotated[int, shown(minimum=policy.LEAST_EVERY_S, maximum=policy.LONGEST_EVERY_S)]


class ChangeSchedule(Body):
    """PATCH /schedules/{id}: what is left out stays as it is. Its tasks are those of the key that has changed it."""

    model_config = change_like({"is_paused": True})

    name: Annotated[str, shown(minLength=1, maxLength=schedules.LONGEST_NAME)] = ""
    kind: str = Field("", max_length=100, description="the name of a workflow kind")
    input: dict[str, Any] = Field({}, description="is checked against the schema of the kind, now and at each time")
    labels: dict[LabelKey, LabelValue] = Field(
        {}, max_length=new_task.MAX_LABELS, json_schema_extra={"additionalProperties": False}
    )
    priority: Priority = "normal"
    deadline_s: DeadlineS | None = Field(None, description="seconds after which a task that has not ended fails")
    cron: str = Field("", max_length=policy.LONGEST_CRON, description="minute, hour, day of month, month, day of week")
    every_s: EveryS = Field(0, description="instead of `cron`: every so many seconds, from now on")
    timezone: str = Field("UTC", max_length=64, description="in which `cron` is read, as in Europe/Berlin")
    catch_up: Annotated[str, shown(enum=CatchUp.values)] = Field(
        CatchUp.ONCE.value, description="of times that were missed: start none, one task for all, or one for each"
    )
    overlap: Annotated[str, shown(enum=Overlap.values)] = Field(
        Overlap.SKIP.value, description="while the previous task is not over: skip the time, or start another task"
    )
    is_paused: bool = False

    def values(self) -> dict[str, Any]:
        """Return what was sent."""
        return self.model_dump(exclude_unset=True)


class NewSchedule(ChangeSchedule):
    """POST /schedules: what is to be submitted, and when: by `cron` or `every_s`."""

    model_config = like(EXAMPLE)

    name: Annotated[str, shown(minLength=1, maxLength=schedules.LONGEST_NAME)]
    kind: str = Field(min_length=1, max_length=100, description="the name of a workflow kind")
