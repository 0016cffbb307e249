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
