"""Whether the broker takes what is published. For probes, and for who runs the platform."""

from __future__ import annotations

from django.conf import settings

from agentapp.dispatch import broker


def answers() -> bool:
    """Let the broker show that it takes messages, within half a second. No address counts as down."""
    if not settings.BROKER_URL:
        return False
    try:
        broker.probe()
    except (ConnectionError, PermissionError):
        return False
    return True
