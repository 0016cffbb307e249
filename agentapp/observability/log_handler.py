"""The last step of every log line, whichever library wrote it."""

from __future__ import annotations

import logging

from agentapp import redaction


class RedactingHandler(logging.StreamHandler):  # type: ignore[type-arg]  # of whatever stream stderr is
    """Writes lines to stderr, without the secrets that this process knows; traces of errors are part of a line."""

    def format(self, record: logging.LogRecord) -> str:
        return redaction.redacted(super().format(record))
