"""Workflow kinds as data: stages, fan-outs with a join rule, decisions, conditions and bounded loops. [C3]

A binding is a path: `input.body` reads the client's input, `classify_ticket.sources` the output of the latest closed
stage of that name, `retrieve_context` (a fan-out) the list of its parts' outputs. A trailing `?` makes it optional:
null when there is no such stage or key. Anything that is not a string is a constant, and so is Const("a string").
"""

from agentapp.flows.drawing import drawn
from agentapp.flows.plans import input_schema, path_of, paths_of, plan
from agentapp.flows.problems import check
from agentapp.flows.stages import (
    Const,
    Conversation,
    Decision,
    FanOut,
    Flow,
    Join,
    Repeat,
    Stage,
    Step,
    When,
    child_task,
    raise_budget,
)
from agentapp.flows.words import told

__all__ = [
    "Const", "Conversation", "Decision", "FanOut", "Flow", "Join", "Repeat", "Stage", "Step", "When",
    "check", "child_task", "drawn", "input_schema", "path_of", "paths_of", "plan", "raise_budget",
    "told",
]  # fmt: skip
