"""Which failures of a body may be tried again, and what its record calls them. [F1]"""

from __future__ import annotations

from enum import Enum

from agentapp import errors
from agentapp.policies import bounds, faults, storable


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
    return ErrorKind.TRANSIENT if faults.of(error) in faults.PASSING else ErrorKind.PERMANENT


def disbelief(error: BaseException) -> str:
    """Say that the other side asked for a wait that we do not believe; "" for one that we do."""
    asked_s, believed_s = _asked_s(error), retry_after_s(error)
    if asked_s is None or asked_s == believed_s:
        return ""
    # Anybody may have made it: a number too long to be written, or something that is none.
    said = str(storable.value(asked_s))[:40]
    return f" (It asked for a wait of {said} s; {bounds.LONGEST_RETRY_AFTER_S:.0f} s is the longest.)"


def retry_after_s(error: BaseException) -> float | None:
    """Return what the other side asked for, in seconds, as far as we believe it.

    Callers use this instead of `error.retry_after_s`: a class of somebody's own may lack the field, or hold anything.
    """
    if not isinstance(error, errors.TransientError | errors.Unavailable):
        return None
    return bounds.number(_asked_s(error), most=bounds.LONGEST_RETRY_AFTER_S)


def _asked_s(error: BaseException) -> object:
    """What the error holds itself: a property of somebody's own may raise, and is not asked."""
    return vars(error).get("retry_after_s")
