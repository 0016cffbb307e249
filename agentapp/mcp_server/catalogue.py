"""All tools, as an assistant is told of them: by name, with the scopes that each needs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pydantic import BaseModel

from agentapp.api.schemas import Body
from agentapp.mcp_server import answers, arguments, tools, waiting
from agentapp.policies.sentences import FieldErrors
from agentapp.services.principals import Principal

INSTRUCTIONS = (
    "agentapp runs tasks that take minutes or longer, durably: what was submitted is done, also when you are gone. "
    "Look at list_kinds, submit_task, then wait_for_task until the task is over. Some tasks wait for a person's "
    "approval before anything is sent: show the user what is to be approved. Do not approve your own submission unless "
    "the user has told you to."
)


@dataclass(frozen=True)
class Tool:
    """`run` is called in a thread; a tool that waits has `wait` instead, which holds none. `problems` finds more that
    is wrong with arguments than their types."""

    name: str
    title: str
    description: str
    arguments: type[Body]
    answer: type[BaseModel]
    scopes: tuple[str, ...] = ()
    run: Callable[[Principal, Any], BaseModel] | None = None
    wait: Callable[[Principal, Any], Awaitable[BaseModel]] | None = None
    problems: Callable[[Principal, dict[str, Any]], FieldErrors] | None = None
    is_read_only: bool = False
    is_destructive: bool = False
    is_idempotent: bool = False
    is_open_world: bool = False

    @cached_property
    def input_schema(self) -> dict[str, Any]:
        return arguments.schema(self.arguments)

    @cached_property
    def output_schema(self) -> dict[str, Any]:
        return arguments.schema(self.answer, of_answer=True)

    def is_for(self, principal: Principal) -> bool:
        return principal.scopes.issuperset(self.scopes)


_ALL = (
    Tool(
        "list_kinds",
        "List task kinds",
        "The kinds of tasks that can be submitted, each with the JSON Schema of its input. Call this before "
        "submit_task.",
        arguments.Nothing,
        answers.Kinds,
        run=tools.list_kinds,
        is_read_only=True,
        is_idempotent=True,
    ),
    Tool(
        "submit_task",
        "Submit a task",
        "Submit a task. It is stored at once and runs in the background; the answer is the task with its id. Then call "
        "wait_for_task.",
        arguments.SubmitTask,
        answers.Task,
        scopes=("tasks:write",),
        run=tools.submit_task,
        problems=tools.problems,
        is_open_world=True,
    ),
    Tool(
        "get_task",
        "Read a task",
        "One task as it is now: its state, its progress, its result or error, and in `next_step` what to do.",
        arguments.OneTask,
        answers.Task,
        scopes=("tasks:read",),
        run=tools.get_task,
        is_read_only=True,
        is_idempotent=True,
    ),
    Tool(
        "list_tasks",
        "List tasks",
        "Tasks, the newest first, without their inputs and results: those are in get_task. Narrow them by state, kind "
        "and labels.",
        arguments.ListTasks,
        answers.Tasks,
        scopes=("tasks:read",),
        run=tools.list_tasks,
        is_read_only=True,
        is_idempotent=True,
    ),
    Tool(
        "wait_for_task",
        "Wait for a task",
        "Wait until a task is over or is a person's turn, at most timeout_s seconds; the answer is the task as it is "
        "then. If it is still pending or running, call this again.",
        arguments.WaitForTask,
        answers.Task,
        scopes=("tasks:read",),
        wait=waiting.wait_for_task,
        is_read_only=True,
        is_idempotent=True,
    ),
    Tool(
        "cancel_task",
        "Cancel a task",
        "End a task that is not over. It cannot be resumed, and what it has sent stays sent. The answer is the task.",
        arguments.CancelTask,
        answers.Task,
        scopes=("tasks:read", "tasks:write"),
        run=tools.cancel_task,
        is_destructive=True,
    ),
    Tool(
        "list_approvals",
        "List approvals",
        "What waits for a person's decision, the oldest first, with the content that would be sent. Show the content "
        "to the user and ask for the decision.",
        arguments.ListApprovals,
        answers.Approvals,
        scopes=("approvals:read",),
        run=tools.list_approvals,
        is_read_only=True,
        is_idempotent=True,
    ),
    Tool(
        "decide_approval",
        "Decide an approval",
        "Record a person's decision; what is approved is sent, and cannot be taken back. Call this only when the user "
        "has seen this content and has told you the decision. Never approve your own submission unless told to.",
        arguments.DecideApproval,
        answers.Approval,
        scopes=("approvals:read", "approvals:decide"),
        run=tools.decide_approval,
        is_destructive=True,
        is_open_world=True,
    ),
)
TOOLS = {tool.name: tool for tool in _ALL}
