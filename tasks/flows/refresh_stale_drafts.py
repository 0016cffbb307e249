"""Have drafts written again that wait for a person while what they cite has changed. [C10]

    refresh_drafts  <--+   so many approvals in one job
        |              |
        +--------------+   until all were looked at, or so many drafts are written again

A schedule starts it. What people have begun to work on is left alone.
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from agentapp import registry
from agentapp.flows import Flow, Repeat, Step, When
from tasks.refresh_drafts import SCOPES

MOST_ROUNDS = 5_000


class RefreshStaleDraftsInput(BaseModel):
    """What a client sends: how many drafts, and how often each."""

    model_config = ConfigDict(extra="forbid")

    size: Annotated[int, Field(ge=1, le=1_000)] = Field(100, description="How many drafts are written again at most.")
    times: Annotated[int, Field(ge=1, le=10)] = Field(
        3, description="How often the draft of one task is written again at most."
    )


COUNTS = ("looked", "stale", "refreshed", "left")

refresh_stale_drafts = registry.add_flow(
    Flow(
        kind="refresh_stale_drafts",
        version=1,
        title="Refresh drafts whose sources have changed",
        description="Finds drafts that wait for a person and cite what has changed, and has them written again.",
        input=RefreshStaleDraftsInput,
        needs=SCOPES,
        stages=(
            Step(
                "refresh_drafts",
                bind={"size": "input.size", "times": "input.times", "before": "refresh_drafts?"},
                repeat=Repeat("refresh_drafts", when=When("refresh_drafts.is_over", equals=False), at_most=MOST_ROUNDS),
            ),
        ),
        result={name: f"refresh_drafts.{name}" for name in COUNTS},
    )
)
