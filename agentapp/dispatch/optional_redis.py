"""A Redis or Valkey, for what can be done without: texts that are still written, who looks at a page."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import TypeVar

from agentapp.dispatch import redis_client
from agentapp.dispatch.circuit import Circuit
from agentapp.dispatch.redis_client import Redis
from agentapp.policies import faults
from agentapp.policies.faults import Fault

T = TypeVar("T")
# What the names of the notes begin with that say who looks at an approval.
LOOKS = "agentapp:looks:"


class OptionalRedis:
    """This process's client. A server that is away or hangs costs `answer_s`, then it is left alone for a while."""

    def __init__(self, answer_s: float) -> None:
        self._answer_s = answer_s
        self._circuit = Circuit()
        self._lock = threading.Lock()
        self._client: Redis | None = None
        self._made_in = 0

    def ask(self, question: Callable[[Redis], T]) -> T | None:
        """Return what the server says to a question; None where it does not answer, or there is none."""
        if not redis_client.address() or not self._circuit.may_call():
            return None
        with faults.caught(Fault.OUTAGE, Fault.LIMIT), redis_client.dispensable():
            answer = question(self._connected())
            self._circuit.succeeded()
            return answer
        self._circuit.failed()
        return None

    def _connected(self) -> Redis:
        with self._lock:
            # A child of a fork must not read from its parent's socket.
            if self._client is None or self._made_in != os.getpid():
                self._client = redis_client.connect_once(redis_client.address(), timeout_s=self._answer_s)
                self._made_in = os.getpid()
            return self._client
