"""Which failures of a body may be tried again, and what its record calls them. [F1]"""

from __future__ import annotations

from enum import Enum

from agentapp import errors
from agentapp.policies import bounds, faults
from agentapp.policies.faults import Fault


class ErrorKind(Enum):
    """The value is the reason that a dead letter of this kind carries."""

    TRANSIENT = "transient"
    PERMANENT = "permanent"
    PERMISSION = "permission"
    CONTENT_CHANGED = "content changed"


def classify(error: BaseException) -> ErrorKind:
    """Say of which kind a failure is.

    What nobody has classified is permanent: a bug does not get better by running it five times, and a dead letter
    is seen by a person.
    """
    if isinstance(error, errors.PermissionDenied):
        return ErrorKind.PERMISSION
    if isinstance(error, errors.ContentChanged):
        return ErrorKind.CONTENT_CHANGED
    passes = faults.of(error) in {Fault.OUTAGE, Fault.CONTENTION, Fault.LIMIT}
    return ErrorKind.TRANSIENT if passes else ErrorKind.PERMANENT


def retry_after_s(error: BaseException) -> float | None:
    """Return what the other side asked for, in seconds, as far as we believe it."""
    if not isinstance(error, errors.TransientError | errors.Unavailable):
        return None
    return bounds.number(error.retry_after_s, most=bounds.LONGEST_RETRY_AFTER_S)
