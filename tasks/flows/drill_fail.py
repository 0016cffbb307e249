"""One job that always fails: drill_fail."""

from pydantic import BaseModel, ConfigDict

from agentapp import registry
from agentapp.flows import Flow, Step


class DrillFailInput(BaseModel):
    """Nothing."""

    model_config = ConfigDict(extra="forbid")


drill_fail = registry.add_flow(
    Flow(
        kind="drill_fail",
        version=1,
        title="A job that always fails",
        input=DrillFailInput,
        stages=(Step("drill_fail"),),
        internal=True,
    )
)
