"""Many small steps, then one effect.

chord([drill_step x n], drill_send)
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from agentapp import registry
from agentapp.flows import FanOut, Flow, Step


class DrillSendInput(BaseModel):
    """How many steps come before the effect; none is fine."""

    model_config = ConfigDict(extra="forbid")

    parts: Annotated[list[int], Field(max_length=1_000)] = []


drill_send = registry.add_flow(
    Flow(
        kind="drill_send",
        version=1,
        title="Steps and an effect",
        input=DrillSendInput,
        stages=(
            FanOut("drill_step", over="input.parts", each="number"),
            Step("drill_send", bind={"parts": "drill_step"}),
        ),
        result={"outcome": "drill_send.outcome", "artifact": "drill_send.artifact"},
        internal=True,
    )
)
