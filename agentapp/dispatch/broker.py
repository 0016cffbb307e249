"""What the broker can tell about a queue."""

from __future__ import annotations

from typing import Any

from celery import current_app
from celery.exceptions import OperationalError
from kombu.exceptions import ChannelError
from kombu.exceptions import OperationalError as BrokerError


def depth(queue: str) -> int:
    """Return how many messages wait in a queue, all priorities together; 0 when there is no such queue yet.

    Raises:
        ConnectionError: the broker does not answer.
    """
    try:
        with current_app.connection_for_read() as connection:
            connection.ensure_connection(max_retries=1, interval_start=0)
            channel: Any = connection.default_channel
            answer = channel.queue_declare(queue=queue, passive=True)
            return int(answer.message_count)
    except ChannelError:
        return 0
    except (OperationalError, BrokerError, OSError) as error:
        raise ConnectionError(f"The broker does not answer: {error}") from error
