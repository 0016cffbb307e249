from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from tests.dispatch.postman import Postman


@pytest.fixture
def postman(broker: redis.Redis) -> Iterator[Postman]:
    yield Postman(broker)
    broker.flushdb()
