"""The settings of the tools of agents. See config/env.py."""

from __future__ import annotations

import json
import re

from agentapp.policies import http_endpoints
from agentapp.policies.http_endpoints import HttpEndpoint
from config.setting import Setting
from config.url import Unusable


def endpoints(value: str) -> dict[str, HttpEndpoint]:
    """Read the endpoints of the HTTP tools, as JSON."""
    try:
        return http_endpoints.read(value)
    except ValueError as error:
        raise Unusable(f"cannot be used. {error}") from None


HTTP_ENDPOINTS: Setting[dict[str, HttpEndpoint]] = Setting(
    "AGENTAPP_HTTP_ENDPOINTS",
    {},
    endpoints,
    '{"crm": {"base_url": "https://crm.example.org/v1", "tenants": ["acme"], "secret": "TOOL_SECRET_CRM"}}',
    "Addresses that agents may call with the tools http_get and http_request, by name, as a JSON object.",
)


def commands(value: str) -> dict[str, list[str]]:
    """Read the programs that may be tool servers, as JSON: names, each with a program and its arguments."""
    try:
        read = json.loads(value)
    except (ValueError, RecursionError):
        raise Unusable("is no JSON object") from None
    if not isinstance(read, dict):
        raise Unusable("is no JSON object")
    for name, command in read.items():
        if not re.fullmatch(r"[a-z0-9_-]{1,60}", name):
            raise Unusable(f"has a name {name[:20]!r} that is none of small letters, digits, - and _, 60 at most")
        words = command if isinstance(command, list) else []
        if not words or not all(isinstance(word, str) and word and "\0" not in word for word in words):
            raise Unusable(f"needs a list of a program and its arguments for {name}")
    return read


TOOL_COMMANDS: Setting[dict[str, list[str]]] = Setting(
    "AGENTAPP_TOOL_COMMANDS",
    {},
    commands,
    '{"files": ["/srv/tools/bin/mcp-server-files", "/srv/shared"]}',
    "Programs on the machines of the workers that may be tool servers, by name, as a JSON object; a tool server with "
    "the address stdio:files starts one for each session.",
)
