"""Something read from a service that an operator has set up, with its secret."""

from typing import Any, Literal

from agentapp.delivery import endpoints
from agentapp.errors import ToolFailed
from agentapp.policies.addresses import TargetNotAllowed
from agentapp.tools import ToolContext, tool
from agentapp.tools.requests import request_of


# What a run has read may tell it to put that into a path: from then on a person sees each request first.
@tool(queue="send", scope="tools:write", worker_scopes={"http:send"}, timeout_s=70, approval="tainted", untrusted=True)
def http_get(
    ctx: ToolContext, *, endpoint: str, path: str = "", query: dict[str, str] | None = None,
    method: Literal["GET", "HEAD"] = "GET",
) -> dict[str, Any]:  # fmt: skip
    """Read from a service that was set up for you, by the name of its endpoint. `path` is the part of the address
    behind the endpoint's own, such as customers/17."""
    request, secret = request_of(ctx, endpoint=endpoint, method=method, path=path, query=query)
    ctx.release()
    try:
        answer = endpoints.send(request, secret=secret)
    except TargetNotAllowed as error:
        raise ToolFailed(f"This endpoint may not be called: {error}") from error
    return endpoints.told(answer)
