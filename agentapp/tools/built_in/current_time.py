"""The time of the platform's clock."""

from agentapp import clock
from agentapp.tools import ToolContext, tool


@tool(queue="model")
def current_time(ctx: ToolContext) -> str:
    """Tell the present date and time in UTC."""
    return clock.now().strftime("%A, %Y-%m-%d %H:%M UTC")
