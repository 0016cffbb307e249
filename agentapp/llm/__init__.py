"""The way to a language model: one client for every OpenAI-compatible provider."""

from __future__ import annotations

from types import ModuleType


def provider() -> ModuleType:
    """Return agentapp.llm.client, imported at first use.

    The provider's library takes more than a second of CPU to import, and most processes never call a model. Workers
    that do import it at their start.
    """
    from agentapp.llm import client

    return client


def framework_clients() -> ModuleType:
    """Return agentapp.llm.framework_client, imported at first use."""
    from agentapp.llm import framework_client

    return framework_client
