"""One job that kills its process: drill_crash."""

from pydantic import BaseModel, ConfigDict

from agentapp import registry
from agentapp.flows import Flow, Step


class DrillCrashInput(BaseModel):
    """Nothing."""

    model_config = ConfigDict(extra="forbid")


drill_crash = registry.add_flow(
    Flow(
        kind="drill_crash",
        version=1,
        title="A job that kills its process",
        input=DrillCrashInput,
        stages=(Step("drill_crash"),),
        result={"attempt": "drill_crash.attempt"},
        internal=True,
    )
)
