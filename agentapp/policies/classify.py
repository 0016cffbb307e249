"""Which failures may be tried again. [F1]"""

from __future__ import annotations

from enum import Enum

from agentapp import errors


class ErrorKind(Enum):
    """The value is the reason that a dead letter of this kind carries."""

    TRANSIENT = "transient"
    PERMANENT = "permanent"
    PERMISSION = "permission"
    CONTENT_CHANGED = "content changed"


RETRIED_STATUS = frozenset({408, 409, 425, 429})


def is_retried_status(status: int) -> bool:
    """Tell whether an HTTP answer may be different next time: 408, 409, 425, 429 and 5xx."""
    return status in RETRIED_STATUS or 500 <= status <= 599


def classify(error: BaseException) -> ErrorKind:
    """Say of which kind a failure is.

    What nobody has classified is permanent: a bug does not get better by running it five times, and a dead letter
    is seen by a person. Time-outs and broken connections of the standard library are transient.
    """
    if isinstance(error, errors.PermissionDenied):
        return ErrorKind.PERMISSION
    if isinstance(error, errors.ContentChanged):
        return ErrorKind.CONTENT_CHANGED
    # Memory may be there next time, when the neighbours are others; a job that always takes too much reaches its cap.
    if isinstance(error, errors.TransientError | errors.Unavailable | TimeoutError | ConnectionError | MemoryError):
        return ErrorKind.TRANSIENT
    return ErrorKind.PERMANENT


def retry_after_s(error: BaseException) -> float | None:
    """Return what the other side asked for, in seconds."""
    return error.retry_after_s if isinstance(error, errors.TransientError | errors.Unavailable) else None
