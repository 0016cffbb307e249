"""`@tool`: one line that declares a tool of an agent."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from agentapp import registry as job_registry
from agentapp.tools import registry
from agentapp.tools.registry import Asks, Tool

Body = Callable[..., str | dict[str, Any]]


def tool(
    *,
    queue: str,
    write: bool = False,
    scope: str = "",
    worker_scopes: set[str] | frozenset[str] = frozenset(),
    timeout_s: int = 30,
    approval: Asks | None = None,
    untrusted: bool = False,
    of_customer: bool = False,
    sequential: bool = False,
) -> Callable[[Body], Body]:
    """Declare a tool of the function's name.

    The function takes a ToolContext and keyword-only parameters, which are its arguments, and returns a text or a small
    JSON object. Its docstring is what the model reads of it. `queue` is the worker class that runs it, `worker_scopes`
    what it needs of that class, `scope` what the API key behind the task must hold. `write`: it changes something
    outside, by `ctx.effect`. `approval` says when a person is asked before it runs: "always" (what a tool that writes
    does if nothing is said), "tainted" (when the run has read untrusted text) or "never" (a tool that reads).
    `untrusted`: what it returns was written by others, and taints the run. `of_customer`: it is about the customer whom
    the input of the task names, and is offered to no other task. `sequential`: each of its calls runs alone, after
    those before it in the same answer of the model and before those behind it; others run in parallel.

    Raises:
        InvalidPlan: what is said does not fit together.
    """

    def declare(body: Body) -> Body:
        name = body.__name__
        registry.add(
            Tool(
                name=name, body=body, description=inspect.cleandoc(body.__doc__ or ""), queue=queue, write=write,
                scope=scope, worker_scopes=frozenset(worker_scopes), timeout_s=timeout_s,
                approval=approval or ("always" if write else "never"), untrusted=untrusted, of_customer=of_customer,
                sequential=sequential, schema=job_registry.schema_of(name, body),
            )
        )  # fmt: skip
        return body

    return declare
