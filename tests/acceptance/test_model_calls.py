"""A hundred model calls at once in one worker process, in the short form of `python -m bench.model_calls`. [E7]"""

from __future__ import annotations

import httpx2
import pytest

from agentapp.client.connections import LIMITS
from bench import model_calls
from tests.acceptance.deployment import Deployment

pytestmark = pytest.mark.acceptance

# Within which a busy machine has begun a hundred calls: then they are answered at once.
CALL_S = 50.0


def test_a_hundred_calls_are_in_flight_on_a_dozen_connections(deployment: Deployment) -> None:
    api = httpx2.Client(
        base_url=deployment.about["url"],
        headers={"Authorization": f"Bearer {deployment.about['api_key']}"},
        timeout=120,
        limits=LIMITS,
    )
    with api:
        stack = model_calls.Stack(api, deployment.model, deployment.about["database_url"])
        found = model_calls.measure(stack, calls=100, latency_s=CALL_S, until_all=True)

    assert found.in_flight == 100
    assert 1 <= found.connections <= 12
