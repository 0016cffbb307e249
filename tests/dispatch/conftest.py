from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from tests.dispatch.message_reader import MessageReader


@pytest.fixture
def message_reader(broker: redis.Redis) -> Iterator[MessageReader]:
    yield MessageReader(broker)
    broker.flushdb()
