"""Whether the broker takes what is published. For probes, and for who runs the platform."""

from __future__ import annotations

from django.conf import settings

from agentapp.dispatch import redis_client
from agentapp.policies import faults
from agentapp.policies.faults import Fault

WAIT_S = 0.5
PROBE_KEY = "agentapp:probe"
PROBE_KEPT_S = 60


def answers(*, within_s: float = WAIT_S) -> bool:
    """Let the broker keep a note: one that has become a replica, or whose disk is full, answers a ping. No address
    counts as down."""
    if not settings.BROKER_URL:
        return False
    broker = redis_client.connect(settings.BROKER_URL, timeout_s=within_s)
    try:
        with faults.caught(Fault.OUTAGE, Fault.LIMIT):
            return bool(broker.set(PROBE_KEY, "written by a probe", ex=PROBE_KEPT_S))
        return False
    finally:
        broker.close()
