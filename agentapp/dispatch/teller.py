"""Tells the web processes over Redis or Valkey which tasks have changed, so that those who follow them look at once.

Nothing depends on it: who follows a task also looks by itself now and then. So it never waits, it tells several changes
at once, and what cannot be told is forgotten.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Collection, Iterator
from itertools import islice

from agentapp.dispatch.circuit import Circuit
from agentapp.policies import faults
from agentapp.policies.faults import Fault

CHANNEL = "agentapp.changes"
ANSWER_S = 0.5
# Between two messages: what changes meanwhile goes into the next one. Where nobody listens they are rarer.
HEARD_S, UNHEARD_S = 0.002, 0.1
MOST = 1_000


class Teller:
    """Tells from a thread of its own, which begins with the first change in each process."""

    def __init__(self) -> None:
        self._begin_again()
        os.register_at_fork(after_in_child=self._begin_again)

    def _begin_again(self) -> None:
        """A child of a fork has neither the threads of its parent nor its sockets, and locks that they held stay so."""
        self._circuit = Circuit()
        self._changed = threading.Condition()
        self._tasks: set[str] = set()
        self._thread: threading.Thread | None = None

    def tell(self, tasks: Collection[str]) -> None:
        """Take what changed; a listener of lifecycle.changes."""
        with self._changed:
            if self._thread is None:
                self._thread = self._begun()
            # One that has ended is not begun again: it would end at each change.
            if self._thread is not None and self._thread.is_alive():
                self._tasks.update(tasks)
                self._changed.notify()

    def _begun(self) -> threading.Thread | None:
        """Begin the thread; None where the system has none left, or the process ends."""
        thread = threading.Thread(target=self._run, name="teller", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            return None
        return thread

    def _run(self) -> None:
        # Here, because processes that never change a task need no client.
        from agentapp.dispatch import redis_client

        address = redis_client.address()
        if not address:
            # What is told from now on is not kept: who follows a task looks by itself.
            return
        client = redis_client.connect(address, timeout_s=ANSWER_S)
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._tasks)
                tasks, self._tasks = self._tasks, set()
            heard = 0
            if self._circuit.may_call():
                with faults.caught(Fault.OUTAGE, Fault.LIMIT) as caught, redis_client.dispensable():
                    heard = sum(client.publish(CHANNEL, json.dumps(some)) for some in _batches(tasks))
                if caught.error is None:
                    self._circuit.succeeded()
                else:
                    self._circuit.failed()
            time.sleep(HEARD_S if heard else UNHEARD_S)


def _batches(tasks: set[str]) -> Iterator[list[str]]:
    left = iter(tasks)
    while some := list(islice(left, MOST)):
        yield some


teller = Teller()
