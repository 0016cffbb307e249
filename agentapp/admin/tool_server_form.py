"""The form of a tool server: its fields in groups, what was typed into them, and what is wrong beside each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agentapp.admin import form
from agentapp.admin.form import Field
from agentapp.models import ToolServer
from agentapp.services import tool_servers

NAMES = (*tool_servers.FIXED, *tool_servers.SETTABLE, "reason")
_YES = (("yes", "yes"), ("no", "no"))
_KEY = "The name of an environment variable, MCP_KEY_..., of the workers that call tools. The key is not kept here."
_FIXED = (
    Field("tenant", "Tenant", "The slug of the tenant whose agents use it. It cannot be changed.", "text"),
    Field("name", "Name", "Its tools are called name__tool. It cannot be changed.", "text"),
)
_ADDRESS = "Of streamable HTTP, as in https://shop.example.org/mcp, or stdio:NAME of AGENTAPP_TOOL_COMMANDS."
_GROUPS: tuple[tuple[str, tuple[Field, ...]], ...] = (
    (
        "Server",
        (
            Field("url", "Address", _ADDRESS, "text", most=500),
            Field("key_variable", "Key", _KEY, "text"),
            Field("is_enabled", "Enabled", "Its tools are offered and called.", "choice", _YES),
            Field(
                "asks_when_tainted", "Ask about reading",
                "Ask a person before a run that has read untrusted text calls one of its read tools.", "choice", _YES,
            ),
            Field(
                "is_sequential", "One call at a time",
                "Each call of its tools runs alone, in the order of the model's answer.", "choice", _YES,
            ),
        ),
    ),
    (
        "Reason",
        (
            Field("note", "Note", "What it is for. Kept with the server.", "long"),
            Field("reason", "Reason for this change", "Optional. Shown under Changes.", "line"),
        ),
    ),
)  # fmt: skip


def values(entered: Mapping[str, str], *, is_new: bool) -> dict[str, Any]:
    """What the service is given."""
    names = (*tool_servers.FIXED, *tool_servers.TEXTS) if is_new else tool_servers.TEXTS
    # The page of an older release does not ask for all of them.
    flags = {name: entered[name] == "yes" for name in tool_servers.FLAGS if entered[name] in ("yes", "no")}
    return {name: entered[name] for name in names} | flags


def shown(server: ToolServer) -> dict[str, str]:
    """What the fields of a server show."""
    texts = {name: getattr(server, name) for name in (*tool_servers.TEXTS, "name")}
    flags = {name: "yes" if getattr(server, name) else "no" for name in tool_servers.FLAGS}
    return texts | flags | {"tenant": server.tenant.slug if server.pk else ""}


def groups(
    entered: Mapping[str, str], errors: Mapping[str, str], *, is_new: bool
) -> list[tuple[str, list[Field]]]:  # fmt: skip
    """The form: titles, each with its fields as they stand."""
    said_once = (("Whose", _FIXED),) if is_new else ()
    return form.filled((*said_once, *_GROUPS), entered, errors)
