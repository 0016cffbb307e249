"""Text of a running job, shown to those who follow its task while the model still writes.

A preview: it goes through the broker's server alone, and what was written for good is in the job's output. A server
that is away or hangs costs a body a fraction of a second, then it is left alone for some seconds; when it is back, or
has lost its data, all text is written again.
"""

from __future__ import annotations

import json
import os
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings

from agentapp import redaction
from agentapp.dispatch import previews, redis_client
from agentapp.dispatch.circuit import Circuit
from agentapp.lifecycle.opened import Claimed
from agentapp.policies import faults
from agentapp.policies.faults import Fault

ANSWER_S = 0.2
# A reader needs no more often: ten times a second looks like writing.
EVERY_S = 0.1
# Of a text that is longer the beginning is shown.
MOST_BYTES = 256_000


class _Server:
    """This process's way to the server of previews."""

    def __init__(self) -> None:
        self.circuit = Circuit()
        self._lock = threading.Lock()
        self._client: redis_client.Redis | None = None
        self._made_in = 0

    def tell(self, *arguments: Any) -> bool:
        """Run the script of previews; False when the server does not answer, or has another text than we believe."""
        if not redis_client.speaks_redis(settings.BROKER_URL) or not self.circuit.may_call():
            return False
        with faults.caught(Fault.OUTAGE, Fault.LIMIT), redis_client.dispensable():
            is_told = bool(self._connected().eval(previews.TELL, 1, *arguments))
            self.circuit.succeeded()
            return is_told
        self.circuit.failed()
        return False

    def _connected(self) -> redis_client.Redis:
        with self._lock:
            if self._client is None or self._made_in != os.getpid():
                self._client = redis_client.connect_once(settings.BROKER_URL, timeout_s=ANSWER_S)
                self._made_in = os.getpid()
            return self._client


_server = _Server()


class Preview:
    """The text of one model call. What is not told yet is told with the next piece, or at the end."""

    def __init__(self, job: Claimed) -> None:
        self._key = previews.key(str(job.id), job.attempt)
        self._wake = json.dumps([str(job.workflow_id), str(job.id), job.attempt])
        # Two runs may have the same number, when one was handed back: their texts must not be put together.
        self._run = secrets.token_hex(previews.RUN_CHARACTERS // 2).encode()
        self._text = bytearray()
        self._redacted = redaction.Stream()
        self._told = 0
        self._next_s = 0.0

    def write(self, piece: str) -> None:
        """Take the next piece of text, and tell it if it is time to."""
        if len(self._text) < MOST_BYTES:
            self._text += self._redacted.take(piece).encode()
        if time.monotonic() >= self._next_s:
            self._tell(kept_s=previews.KEPT_S)
            self._next_s = time.monotonic() + EVERY_S

    def end(self, *, is_whole: bool) -> None:
        """Tell what is left; of a call that failed there is nothing to show."""
        if is_whole:
            self._text += self._redacted.end().encode()
            self._tell(kept_s=previews.KEPT_AT_THE_END_S)
        elif self._told:
            _server.tell(self._key, self._wake, self._run, 0, b"", 0)

    def _tell(self, *, kept_s: int) -> None:
        """Append what is new; where the server has not what it had before, write everything."""
        if len(self._text) == self._told:
            return
        for told in (self._told, 0) if self._told else (0,):
            if _server.tell(self._key, self._wake, self._run, told, bytes(self._text[told:]), kept_s):
                self._told = len(self._text)
                return


@contextmanager
def of(job: Claimed) -> Iterator[Preview]:
    """Show what a model writes in this block."""
    preview = Preview(job)
    is_whole = False
    try:
        yield preview
        is_whole = True
    finally:
        preview.end(is_whole=is_whole)
