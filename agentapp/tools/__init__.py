"""Tools that an agent may use: what a team needs to declare one."""

from agentapp.tools.context import ToolContext
from agentapp.tools.declare import tool

__all__ = ["ToolContext", "tool"]
