"""Text of a running job, shown to those who follow its task while the model still writes.

A preview: it goes through the broker's server alone, and what was written for good is in the job's output. A server
that is away or hangs costs a body a fraction of a second, then it is left alone for some seconds; when it is back, or
has lost its data, all text is written again.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from agentapp import redaction
from agentapp.dispatch import previews
from agentapp.dispatch.optional_redis import OptionalRedis
from agentapp.lifecycle.opened import Claimed

ANSWER_S = 0.2
# A reader needs no more often: ten times a second looks like writing.
EVERY_S = 0.1
# Of a text that is longer the beginning is shown.
MOST_BYTES = 256_000


_server = OptionalRedis(ANSWER_S)


def _told(*arguments: Any) -> bool:
    """Run the script of previews; False when the server does not answer, or has another text than we believe."""
    return bool(_server.ask(lambda server: server.eval(previews.TELL, 1, *arguments)))


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
            _told(self._key, self._wake, self._run, 0, b"", 0)

    def _tell(self, *, kept_s: int) -> None:
        """Append what is new; where the server has not what it had before, write everything."""
        if len(self._text) == self._told:
            return
        for told in (self._told, 0) if self._told else (0,):
            if _told(self._key, self._wake, self._run, told, bytes(self._text[told:]), kept_s):
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
