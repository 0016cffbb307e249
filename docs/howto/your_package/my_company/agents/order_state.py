"""The state of an order."""

from agentapp.errors import ToolFailed
from agentapp.tools import ToolContext, tool

from my_company import shop


@tool(queue="retrieval", timeout_s=20)
def order_state(ctx: ToolContext, *, order: int) -> str:
    """Tell the state of an order by its number."""
    ctx.release()
    found = shop.order(order, timeout_s=ctx.left_s())
    if found is None:
        raise ToolFailed(f"There is no order {order}.")
    return f"Order {order} is {found.state}."
