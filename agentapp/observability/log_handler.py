"""The last step of every log line, whichever library wrote it."""

from __future__ import annotations

import json
import logging

from agentapp import redaction

LONGEST_FIELD = 500
# What every record has; a formatter adds two, and later Pythons one.
_OF_LOGGING = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"}


class RedactingHandler(logging.StreamHandler):  # type: ignore[type-arg]  # of whatever stream stderr is
    """Writes lines to stderr, without the secrets that this process knows; traces of errors are part of a line."""

    def format(self, record: logging.LogRecord) -> str:
        return redaction.redacted(super().format(record))


class EventFormatter(logging.Formatter):
    """Plain text: the sentence of an event, and after it its name and fields, as `name=value`, in one line. Lines of
    other libraries stay as they are: what they have beside their sentence is for programs."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        line = super().formatMessage(record)
        if not hasattr(record, "event"):
            return line
        fields = (f"{name}={_shown(value)}" for name, value in vars(record).items() if name not in _OF_LOGGING)
        return f"{line} [{' '.join(fields)}]"


def _shown(value: object) -> str:
    text = str(value)
    text = text if len(text) <= LONGEST_FIELD else f"{text[:LONGEST_FIELD]}…"
    # One line, and no field that looks like two.
    return text if text.isprintable() and not set(text) & set(' []"=') else json.dumps(text)
