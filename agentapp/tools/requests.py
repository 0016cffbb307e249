"""What the HTTP tools have in common: the request that a model asks for, below an address that it cannot choose."""

from __future__ import annotations

import json
from typing import Any

from agentapp.delivery import endpoints
from agentapp.delivery.endpoints import Request
from agentapp.errors import ToolFailed
from agentapp.tools.context import ToolContext


def request_of(
    ctx: ToolContext, *, endpoint: str, method: str, path: str, query: dict[str, str] | None,
    body: dict[str, Any] | None = None,
) -> tuple[Request, str]:  # fmt: skip
    """Return a request and the secret that goes with it.

    Raises:
        ToolFailed: the tenant has no such endpoint, or the path leads out of it.
        PermissionDenied: this worker class may not hold the secret.
        PermanentError: the secret is missing or cannot be used.
    """
    found = endpoints.find(ctx.tenant_id, endpoint, method)
    try:
        url = found.url(path, query or {})
    except ValueError as error:
        raise ToolFailed(str(error)) from error
    content = None if body is None else json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
    headers = {} if content is None else {"Content-Type": "application/json"}
    secret = ctx.secret(found.secret) if found.secret else ""
    return Request(found, method, url, headers, content), secret
