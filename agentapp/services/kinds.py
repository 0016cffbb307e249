"""The workflow kinds that clients can submit. Those of the platform itself are not among them."""

from __future__ import annotations

from agentapp import registry
from agentapp.errors import NotFound
from agentapp.flows import Flow


def listing() -> list[Flow]:
    """Return the newest version of each kind, by name."""
    return [flow for kind in registry.kinds() if (flow := registry.latest_flow(kind)) is not None]


def get(kind: str) -> Flow:
    """Return the newest version of a kind. Raises NotFound."""
    flow = registry.latest_flow(kind)
    if flow is None or flow.internal:
        raise NotFound(f"There is no task kind {kind}. All are listed at /kinds.")
    return flow
