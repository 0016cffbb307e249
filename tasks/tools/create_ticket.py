"""A ticket for people. The row of its effect is the ticket: put the call of your own ticket system in its place."""

from typing import Annotated, Any

from pydantic import Field

from agentapp.tools import ToolContext, tool


@tool(queue="send", write=True, scope="tools:write")
def create_ticket(
    ctx: ToolContext, *, title: Annotated[str, Field(min_length=1, max_length=200)], text: str = ""
) -> dict[str, Any]:
    """Open a ticket, so that a person looks after something."""
    request = {"title": title, "text": text}
    return ctx.effect(lambda effect_id: {"ticket": f"T-{effect_id[-8:]}"}, request=request, is_idempotent=True)
