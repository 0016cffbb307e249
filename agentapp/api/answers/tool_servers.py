"""MCP servers whose tools agents may use. For operators."""

from __future__ import annotations

from typing import Annotated

import pydantic
from pydantic import Field
from typing_extensions import TypedDict

from agentapp.api.answers import values
from agentapp.api.answers.values import Id, Moment, Object, one_of
from agentapp.states import ToolAccess


@pydantic.with_config(
    values.like(
        {
            "id": 3, "tenant": "demo", "name": "shop", "url": "https://shop.example.org/mcp",
            "key_variable": "MCP_KEY_SHOP", "is_enabled": True, "asks_when_tainted": True,
            "is_sequential": False, "note": "",
            "task": values.ID, "listed_at": values.MOMENT, "problems": [], "updated_at": values.MOMENT,
        }
    )
)  # fmt: skip
class ToolServer(TypedDict):
    """An MCP server of one tenant. Its key is named, never shown."""

    id: int
    tenant: Annotated[str, Field(description="slug")]
    name: Annotated[str, Field(description="its tools are offered as name__tool")]
    url: Annotated[str, Field(description="of streamable HTTP")]
    key_variable: Annotated[str, Field(description="the environment variable of the workers that holds its key")]
    is_enabled: bool
    asks_when_tainted: Annotated[
        bool,
        Field(description="whether a person is asked before a run that has read untrusted text reads with its tools"),
    ]
    is_sequential: Annotated[
        bool, Field(description="whether each call of its tools runs alone, in the order of the model's answer")
    ]
    note: str
    task: Annotated[Id | None, Field(description="that lists its tools, or has listed them last")]
    listed_at: Annotated[Moment | None, Field(description="when its tools were listed; null: never")]
    problems: Annotated[list[str], Field(description="why tools are left out, or were not listed")]
    updated_at: Moment


@pydantic.with_config(
    values.like(
        {
            "id": 7, "name": "order.state", "offered_name": "shop__order_state",
            "limit_name": "shop__order_state@demo", "description": "The state of an order.",
            "schema": {"type": "object", "properties": {"order": {"type": "integer"}}}, "sha256": "0" * 64,
            "access": "read", "decided_by": "user:ada", "decided_at": values.MOMENT, "changed_at": None,
            "changed_from": None,
        }
    )
)  # fmt: skip
class ServerTool(TypedDict):
    """A tool as its server describes it, and what a person has said of it."""

    id: int
    name: Annotated[str, Field(description="as its server calls it")]
    offered_name: Annotated[str, Field(description="as models call it")]
    limit_name: Annotated[str, Field(description="the name under which gates count its calls")]
    description: str
    schema: Annotated[Object, Field(description="JSON Schema of its arguments")]
    sha256: Annotated[str, Field(description="of what its server says of it; a decision names it")]
    access: Annotated[str, one_of(ToolAccess.values), Field(description="unknown counts as write")]
    decided_by: Annotated[str | None, Field(description="who said so")]
    decided_at: Moment | None
    changed_at: Annotated[Moment | None, Field(description="when its description changed; nobody has decided since")]
    changed_from: Annotated[str | None, Field(description="what it was until then")]
