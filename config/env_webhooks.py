"""The settings of requests to addresses that clients and models name. See config/env.py."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network

from config.setting import Setting, flag, networks

WEBHOOK_ALLOWED_NETWORKS: Setting[list[IPv4Network | IPv6Network]] = Setting(
    "AGENTAPP_WEBHOOK_ALLOWED_NETWORKS",
    [],
    networks,
    "10.20.0.0/16, fd00:20::/64",
    "Networks that are not public and that webhooks may be sent to all the same, over http too and at every port. "
    "Every tenant can then reach what listens there.",
)
WEBHOOK_ALLOW_HTTP = Setting(
    "AGENTAPP_WEBHOOK_ALLOW_HTTP",
    False,
    flag,
    "1",
    "Webhooks may be sent to public addresses without TLS, where everybody on the way can read them.",
)
FETCH_ALLOWED_NETWORKS: Setting[list[IPv4Network | IPv6Network]] = Setting(
    "AGENTAPP_FETCH_ALLOWED_NETWORKS",
    [],
    networks,
    "10.20.0.0/16, fd00:20::/64",
    "Networks that are not public and that the tool fetch_url may read from all the same. Agents of every tenant can "
    "then read what is there.",
)
TOOL_ALLOWED_NETWORKS: Setting[list[IPv4Network | IPv6Network]] = Setting(
    "AGENTAPP_TOOL_ALLOWED_NETWORKS",
    [],
    networks,
    "10.40.0.0/16, fd00:40::/64",
    "Networks that are not public and in which tool servers (MCP) may be, over http too and at every port.",
)
