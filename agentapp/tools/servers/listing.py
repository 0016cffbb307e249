"""Which tools a server has: asked, bounded and stored. A person then says which of them only read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

from agentapp.errors import CannotBeSent, PermanentError, TransientError
from agentapp.lifecycle import tool_servers as moves
from agentapp.models import ToolServer
from agentapp.policies import storable, tool_servers
from agentapp.tools.servers import opening
from agentapp.tools.servers.session import Address, Session

Json = dict[str, Any]
# What is left of the time when the next tool is not checked any more.
LEAST_S = 1.0
_SUPERSEDED = "The tool server was deleted, disabled, changed, or asked again."


def read(
    tenant_id: int, server_id: int, *, task: UUID, left_s: Callable[[], float], release: Callable[[], None]
) -> Json:
    """List the tools of a server and store them.

    Raises:
        TransientError, PermanentError: the server does not answer, or with what is no list; nothing is stored.
    """
    rows = ToolServer.objects.select_related("tenant")
    server = rows.filter(pk=server_id, tenant_id=tenant_id, is_enabled=True, task_id=task).first()
    if server is None:
        return _without_tools("superseded", _SUPERSEDED)
    release()
    with opening.opened(Address(server.url, server.key_variable), left_s=left_s) as opened:
        found, problems = tool_servers.listing(server.name, server.tenant.slug, _in_time(opened, left_s))
    changed = moves.listed(server.pk, found, problems, task=task)
    if changed is None:
        return _without_tools("superseded", _SUPERSEDED)
    return {"outcome": "listed", "tools": len(found), "changed": changed, "problems": problems}


def _in_time(opened: Session, left_s: Callable[[], float]) -> Iterator[Any]:
    """Return what a server says of its tools, while there is time to check it. Part of a list is not stored: tools that
    it leaves out are taken away."""
    for tool in opened.listing():
        if left_s() < LEAST_S:
            raise CannotBeSent("The list of the tool server takes too long.")
        yield tool


def failed(server_id: int, error: TransientError | PermanentError, *, task: UUID) -> Json:
    """Store why there is no list."""
    problem = storable.message(error)
    moves.not_listed(server_id, problem, task=task)
    return _without_tools("failed", problem)


def _without_tools(outcome: str, problem: str) -> Json:
    return {"outcome": outcome, "tools": 0, "changed": [], "problems": [problem]}
