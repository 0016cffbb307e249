"""Carry out an instruction with tools. [C5]

    agent_turn  <----------------------------------------------------+
        |                                                            |
    compact_conversation    -- only where it has become too long     |
        |                                                            |
    approval    -- only where a call must be shown to a person       |
        |                                                            |
    run_tool    one job for each call, in parallel                   |
        +-- until agent_turn is done --------------------------------+

Calls that run one after the other are handed out by further jobs of agent_turn, which do not ask the model.

A rejected call is answered with the person's reason, and the run goes on. A request for changes sends the turn back to
the model, with the remark. The conversation is what these jobs have stored: see agentapp/tools/conversation.py. A
message of a client is read by the next turn; one to a completed task makes a task that goes on with its conversation.
"""

from dataclasses import replace
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from agentapp import registry
from agentapp.flows import Conversation, Decision, FanOut, Flow, Repeat, Step, When
from agentapp.policies import tool_servers
from agentapp.tools import registry as tool_registry
from agentapp.tools.planning import MOST_AT_ONCE

MOST_TURNS = 100
# Each call of a turn may have a round of its own, and so have a summary and a question about the budget.
MOST_ROUNDS = (MOST_AT_ONCE + 2) * MOST_TURNS


def _known(name: str) -> str:
    # Which tools the servers of a tenant have is known when they are offered.
    if tool_registry.find(name) is None and not tool_servers.is_named(name):
        known = ", ".join(tool.name for tool in tool_registry.registered())
        raise ValueError(f"There is no tool {name!r}. Choose of: {known}.")
    return name


class Budget(BaseModel):
    """What a run may spend before a person is asked. The time in which people decide does not count."""

    model_config = ConfigDict(extra="forbid")

    turns: Annotated[int, Field(ge=1, le=MOST_TURNS)] | None = None
    tokens: Annotated[int, Field(ge=1, le=10**12)] | None = None
    cost_usd: Annotated[float, Field(gt=0, le=10**9)] | None = None
    wall_clock_s: Annotated[float, Field(gt=0, le=10**9)] | None = None


class AgentInput(BaseModel):
    """What a client sends: an instruction, and what the agent may do."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    instruction: Annotated[str, Field(min_length=1, max_length=50_000)]
    material: Annotated[str, Field(max_length=200_000)] = Field(
        "", description="Text of others to work on, such as a mail: what it says is not obeyed, and a person sees what "
        "the agent then wants to write.",
    )  # fmt: skip
    tools: Annotated[list[Annotated[str, AfterValidator(_known)]], Field(max_length=50)] | None = Field(
        None,
        description="The names of the tools that it may use, those of a tool server as server__tool or server__*; "
        "if left out, all that only read.",
    )
    customer_email: Annotated[str, Field(max_length=320)] = Field(
        "", description="The customer whom it is about: the tools recall and remember are for their facts alone."
    )
    max_turns: Annotated[int, Field(ge=1, le=MOST_TURNS)] = Field(20, description="Then the run ends.")
    budget: Budget | None = Field(None, description="When it is used up, a person is asked whether the run goes on.")
    system: Annotated[str, Field(max_length=20_000)] = Field("", description="More instructions, such as a role.")


agent = registry.add_flow(
    Flow(
        kind="agent",
        version=2,
        title="Carry out an instruction with tools",
        description="A model calls tools, such as a search, until it is done. A person sees first what it writes.",
        input=AgentInput,
        conversation=Conversation("agent_turn"),
        stages=(
            Step(
                "agent_turn",
                bind={name: f"input.{name}?" for name in ("material", "tools", "max_turns", "system", "budget")}
                | {"instruction": "input.instruction"},
            ),
            Step(
                "compact_conversation",
                when=When("agent_turn.is_long?"),
                bind={
                    "instruction": "input.instruction",
                    "covers": "agent_turn.covers?",
                    "budget": "input.budget?",
                },
            ),
            Decision(
                back_to="agent_turn",
                on_reject="continue",
                when=When("agent_turn.asks"),
                bind={"content": "agent_turn.content", "content_sha256": "agent_turn.content_sha256"},
            ),
            FanOut(
                "run_tool",
                over="agent_turn.calls",
                each="call",
                bind={"approval": "approval?"},
                tool="tool",
                queue="queue",
                repeat=Repeat("agent_turn", when=When("agent_turn.done", equals=False), at_most=MOST_ROUNDS),
            ),
        ),
        result={
            "outcome": "agent_turn.outcome",
            "answer": "agent_turn.answer.text?",
            "answer_id": "agent_turn.answer.text_id?",
            "turns": "agent_turn.turn",
            "tainted": "agent_turn.tainted",
        },
    )
)

# Of tasks that began before conversations were summarized.
registry.add_flow(
    replace(agent, version=1, stages=tuple(stage for stage in agent.stages if stage.name != "compact_conversation"))
)
