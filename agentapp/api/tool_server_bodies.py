"""What clients send of tool servers."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from agentapp.api.schemas import Body, ShortReason, change_like, shown
from agentapp.policies.tool_servers import SERVER_NAME
from agentapp.services import tool_servers
from agentapp.states import ToolAccess

EXAMPLE = {"tenant": "demo", "name": "shop", "url": "https://shop.example.org/mcp", "key_variable": "MCP_KEY_SHOP"}
_LONGEST = tool_servers.LONGEST


class ChangeToolServer(Body):
    """PATCH /tool-servers/{id}: what is left out stays as it is."""

    model_config = change_like({"asks_when_tainted": False, "reason": "it belongs to us"})

    url: Annotated[str, shown(minLength=1, maxLength=_LONGEST["url"])] = ""
    key_variable: str = Field(
        "", max_length=_LONGEST["key_variable"],
        description="name of an environment variable of the workers, MCP_KEY_..., that holds the key",
    )  # fmt: skip
    is_enabled: bool = True
    asks_when_tainted: bool = Field(
        True, description="ask a person before a run that has read untrusted text calls one of its read tools"
    )
    is_sequential: bool = Field(
        False, description="each call of its tools runs alone, in the order of the model's answer"
    )
    note: Annotated[str, shown(maxLength=_LONGEST["note"])] = ""
    reason: ShortReason = Field("", description="is recorded with the change")

    def values(self) -> dict[str, Any]:
        """Return what was sent."""
        return self.model_dump(exclude={"reason"}, exclude_unset=True)


class NewToolServer(ChangeToolServer):
    """POST /tool-servers: what is left out has its default."""

    model_config = change_like(EXAMPLE)

    tenant: Annotated[str, shown(minLength=1, maxLength=100)] = Field(description="slug")
    name: Annotated[str, shown(pattern=f"^{SERVER_NAME.pattern}$", maxLength=_LONGEST["name"])]
    url: Annotated[str, shown(minLength=1, maxLength=_LONGEST["url"])]


class DecideAccess(Body):
    """PATCH /tool-servers/{id}/tools/{tool_id}: what a person has found that a tool does."""

    model_config = change_like({"access": "read", "sha256": "0" * 64})

    access: Annotated[str, shown(enum=ToolAccess.values)]
    sha256: str = Field(max_length=64, description="of the description that was read")
    reason: ShortReason = Field("", description="is recorded with the change")
