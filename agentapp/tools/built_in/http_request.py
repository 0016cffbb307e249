"""A request that changes something at a service that an operator has set up, with its secret, once."""

from typing import Any, Literal

from agentapp.delivery import endpoints
from agentapp.tools import ToolContext, tool
from agentapp.tools.requests import request_of


@tool(queue="send", write=True, scope="tools:write", worker_scopes={"http:send"}, timeout_s=90, untrusted=True)
def http_request(
    ctx: ToolContext, *, endpoint: str, method: Literal["POST", "PUT", "PATCH", "DELETE"], path: str = "",
    query: dict[str, str] | None = None, body: dict[str, Any] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Change something at a service that was set up for you, by the name of its endpoint. `path` is the part of the
    address behind the endpoint's own, such as customers/17/notes; `body` is sent as JSON."""
    request, secret = request_of(ctx, endpoint=endpoint, method=method, path=path, query=query, body=body)
    return ctx.effect(
        lambda effect_id: endpoints.do(request, secret=secret, key=effect_id),
        request={"method": method, "url": request.url, "body": body},
        is_idempotent=request.endpoint.is_idempotent,
    )
