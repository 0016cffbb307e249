"""Errors that nothing has caught, and that Python itself writes to stderr."""

from __future__ import annotations

import sys
import threading
import traceback
from types import TracebackType

from agentapp import redaction


def redact() -> None:
    """Let Python write the trace of such an error without the secrets that this process knows."""
    sys.excepthook = _write
    threading.excepthook = _of_thread


def _write(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    sys.stderr.write(redaction.redacted("".join(traceback.format_exception(kind, error, trace))))


def _of_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is None or issubclass(args.exc_type, SystemExit):
        return
    name = args.thread.name if args.thread else "of a thread"
    sys.stderr.write(f"Exception in thread {name}:\n")
    _write(args.exc_type, args.exc_value, args.exc_traceback)
