"""kombu's SQS transport, which takes no more messages than there are free slots."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kombu.transport import SQS


class QoS(SQS.QoS):
    channel: Any

    def can_consume(self) -> bool:
        return self.channel.free_slots() > 0 and bool(super().can_consume())

    def can_consume_max_estimate(self) -> int:
        """A message that waits in memory is one that no other worker can take."""
        return max(0, int(self.channel.free_slots()))


class Channel(SQS.Channel):
    QoS = QoS
    free_slots: Callable[[], int] = staticmethod(lambda: 1)


class Transport(SQS.Transport):
    Channel = Channel
