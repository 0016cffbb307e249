"""List the tools of an MCP server: list_server_tools. An operator starts it; see agentapp/services/tool_servers.py."""

from pydantic import BaseModel, ConfigDict

from agentapp import registry
from agentapp.flows import Flow, Step


class ListServerToolsInput(BaseModel):
    """Which server: its row has the rest."""

    model_config = ConfigDict(extra="forbid")

    server_id: int


list_server_tools = registry.add_flow(
    Flow(
        kind="list_server_tools",
        version=1,
        title="List the tools of a tool server",
        input=ListServerToolsInput,
        stages=(Step("list_server_tools", bind={"server_id": "input.server_id"}),),
        result={name: f"list_server_tools.{name}" for name in ("outcome", "tools", "changed", "problems")},
        internal=True,
    )
)
