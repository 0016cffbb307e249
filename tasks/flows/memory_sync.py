"""Read the finished tasks of customers for facts about them. [C8]

    choose_customers
        |
    extract_facts    one job for each customer: one call of the model, however many tasks they had
        |
    sync_memory      one job for each customer: merge, supersede, keep

A schedule starts it; without one nothing is read. Each task is read once.
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from agentapp import registry
from agentapp.flows import FanOut, Flow, Join, Step


class MemorySyncInput(BaseModel):
    """What a client sends: whose tasks, and how old they may be."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    hours: Annotated[float, Field(gt=0, le=24 * 60)] = Field(
        48, description="Only tasks that were completed within so many hours."
    )
    quiet_minutes: Annotated[float, Field(ge=1, le=24 * 60)] = Field(
        10, description="Tasks that were completed in the last so many minutes are left for the next time."
    )
    size: Annotated[int, Field(ge=1, le=500)] = Field(
        100, description="How many customers at most; the others come the next time."
    )
    customer_email: Annotated[str, Field(max_length=320)] = Field("", description="Only this customer.")


memory_sync = registry.add_flow(
    Flow(
        kind="memory_sync",
        version=1,
        title="Remember customers",
        description="Reads finished tasks for facts about their customers, and keeps them for later replies.",
        input=MemorySyncInput,
        stages=(
            Step(
                "choose_customers",
                bind={name: f"input.{name}" for name in ("hours", "quiet_minutes", "size", "customer_email")},
            ),
            FanOut("extract_facts", over="choose_customers.customers", each="customer", join=Join("settled")),
            FanOut("sync_memory", over="extract_facts", each="extracted", join=Join("settled")),
        ),
        result={
            "customers": "choose_customers.chosen",
            "left": "choose_customers.left",
            "synced": "sync_memory",
        },
    )
)
