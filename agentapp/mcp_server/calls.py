"""One call of a tool: its arguments are checked, it is run, and what goes wrong becomes a problem of the API."""

from __future__ import annotations

from functools import partial
from typing import Any

from pydantic import BaseModel

from agentapp.api import body, problems
from agentapp.api.problems import Problem
from agentapp.lifecycle import tenant_context
from agentapp.mcp_server import threads
from agentapp.mcp_server.catalogue import Tool
from agentapp.policies import payload_fields, sentences
from agentapp.policies.permissions import PAYLOADS
from agentapp.services.principals import Principal


async def answer(tool: Tool, principal: Principal, given: dict[str, Any]) -> BaseModel:
    """Return what a tool answers.

    Raises:
        Problem: the only error, in the words of the API.
    """
    try:
        # The threads take it over.
        with tenant_context.of(principal.tenant_ids):
            wanted = await threads.call(_checked, tool, principal, given)
            if tool.wait is not None:
                return _as_seen(principal, tool, await tool.wait(principal, wanted))
            return _as_seen(principal, tool, await threads.call(_run, tool, principal, wanted))
    except Exception as error:
        raise problems.of(error) from error


def _checked(tool: Tool, principal: Principal, given: dict[str, Any]) -> Any:
    for scope in tool.scopes:
        principal.require(scope)
    return body.checked(given, tool.arguments, more=partial(tool.problems, principal) if tool.problems else None)


def _run(tool: Tool, principal: Principal, wanted: Any) -> BaseModel:
    if tool.run is None:
        raise AssertionError("a tool has `run` or `wait`")
    return tool.run(principal, wanted)


def _as_seen(principal: Principal, tool: Tool, found: BaseModel) -> BaseModel:
    """Return an answer as this principal may see it."""
    if PAYLOADS in principal.scopes or all(scope.startswith(payload_fields.WITHOUT) for scope in tool.scopes):
        return found
    return type(found).model_validate(payload_fields.hidden(found.model_dump(by_alias=True)))


def words(problem: Problem) -> str:
    """Return a problem as a model reads it: every sentence of it."""
    more = problem.errors[sentences.SHOWN :]
    return "\n".join([problem.detail, *(f"{error['field']}: {error['message']}" for error in more)])
