"""The tools that agents may use, as plain data. Their modules fill it at start."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import pydantic

from agentapp import registry
from agentapp.errors import InvalidPayload, InvalidPlan
from agentapp.policies import sentences
from agentapp.policies.backlog import WEBHOOKS
from agentapp.policies.permissions import API_SCOPES, missing

Asks = Literal["never", "tainted", "always"]
# The longest run of a tool; the job around it has a little more.
MOST_S = 150
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")


class ErrorText(str):
    """What a tool returns that did what it could, and was answered with an error."""


@dataclass(frozen=True)
class Tool:
    """What the decorator of a tool declares; `schema` is made of the function's signature. See agentapp.tools.tool.

    `unusable` says why it cannot be run now: its body says so, unless it has to tell what an earlier attempt has done.
    """

    name: str
    body: Callable[..., str | dict[str, Any]]
    description: str
    queue: str
    write: bool
    scope: str
    worker_scopes: frozenset[str]
    timeout_s: int
    approval: Asks
    untrusted: bool
    schema: type[pydantic.BaseModel]
    of_customer: bool = False
    sequential: bool = False
    unusable: str = ""

    @property
    def offered_as(self) -> str:
        """The name by which models call it."""
        return self.name

    def needs_approval(self, *, tainted: bool) -> bool:
        """Tell whether a person must approve a call; `tainted`: the run has read untrusted text."""
        return self.approval == "always" or (self.approval == "tainted" and tainted)

    def parameters(self) -> dict[str, Any]:
        """Return the arguments as JSON Schema, as a model is told of them."""
        described: dict[str, Any] = _untitled(self.schema.model_json_schema())
        return {"type": "object", "properties": {}} | described

    def check(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Return the keyword arguments of the body.

        Raises:
            InvalidPayload: an argument is missing, surplus or of the wrong type; the message is for the model.
        """
        try:
            model = self.schema.model_validate(arguments)
        except pydantic.ValidationError as error:
            raise InvalidPayload(f"{self.name}: {sentences.detail(sentences.field_errors(error))}") from error
        return {name: getattr(model, name) for name in self.schema.model_fields}


_tools: dict[str, Tool] = {}


def add(tool: Tool) -> None:
    """Register a tool under its name.

    Raises:
        InvalidPlan: the name is taken, or what it declares does not fit together.
    """
    known = _tools.get(tool.name)
    if known is not None and known.body.__module__ != tool.body.__module__:
        raise InvalidPlan(
            f"The tool {tool.name} exists twice: in {known.body.__module__} and in {tool.body.__module__}. "
            "Rename one of them."
        )
    if problem := next(_problems(tool), None):
        raise InvalidPlan(f"The tool {tool.name}: {problem}")
    _tools[tool.name] = tool


def find(name: str) -> Tool | None:
    return _tools.get(name)


def registered() -> list[Tool]:
    """All tools, by name."""
    return sorted(_tools.values(), key=lambda tool: tool.name)


def _problems(tool: Tool) -> Iterator[str]:
    if not _NAME.fullmatch(tool.name):
        yield "a name has small letters, digits and underscores, and 64 of them at most."
    if not tool.description:
        yield "write a docstring: it is what the model reads of it."
    # What sends webhooks counts for no tenant.
    if tool.queue not in (known := registry.worker_classes.keys() - {WEBHOOKS}):
        yield f"no worker class {tool.queue!r} runs tools; choose one of {', '.join(sorted(known))}."
    elif lacking := missing(tool.worker_scopes, registry.worker_classes[tool.queue]):
        yield f"the worker class {tool.queue} does not hold {', '.join(lacking)}."
    if tool.scope and tool.scope not in API_SCOPES:
        yield f"there is no scope {tool.scope!r}; choose one of {', '.join(API_SCOPES)}."
    if tool.write and tool.approval == "never":
        yield 'a tool that writes asks for approval "always", or "tainted": when the run has read untrusted text.'
    if tool.write and not tool.scope:
        yield "a tool that writes needs a scope of the key behind the task, such as tools:write."
    if not 1 <= tool.timeout_s <= MOST_S:
        yield f"its timeout_s must be 1 to {MOST_S} seconds."
    first, *others = inspect.signature(tool.body).parameters.values()
    if first.kind is first.KEYWORD_ONLY or any(other.kind is not other.KEYWORD_ONLY for other in others):
        yield "it takes a ToolContext, and then keyword-only arguments: def name(ctx, *, ...)."


def _untitled(schema: Any) -> Any:
    """Leave out the titles that pydantic makes of names: they tell a model nothing."""
    if isinstance(schema, list):
        return [_untitled(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        name: {key: _untitled(part) for key, part in value.items()} if name == "properties" else _untitled(value)
        for name, value in schema.items()
        if not (name == "title" and isinstance(value, str))
    }
