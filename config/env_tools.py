"""The settings of the tools of agents. See config/env.py."""

from __future__ import annotations

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
