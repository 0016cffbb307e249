"""What a failure means, said once for everybody who meets one: body, move, API, probe, heartbeat and dispatcher.

An error is read by its code: SQLSTATE, errno, HTTP status, the first word of a broker's answer. Where a driver gives no
code, its class decides; classes are named by text, so that nothing is imported for a failure that never comes.
"""

from __future__ import annotations

import errno
from enum import Enum
from types import TracebackType
from typing import Self

from agentapp import errors


class Fault(Enum):
    """What to do about a failure."""

    OUTAGE = "outage"
    """A store of ours does not answer, or cannot write. Wait and go on; no attempt is lost."""
    CONTENTION = "contention"
    """Two transactions met. Repeat at once."""
    LIMIT = "limit"
    """A limit of time or of rate, or a service outside that failed. Try again later, a limited number of times."""
    REFUSED = "refused"
    """The other side will not take this. Trying again cannot help."""
    BUG = "bug"
    """Nobody has foreseen it. Trying again cannot help, and a person should look."""


# The same may go well in a moment, or after a while.
PASSING = (Fault.OUTAGE, Fault.CONTENTION, Fault.LIMIT)
# The first entry that the code begins with decides: whole codes stand before their class.
SQLSTATES = (
    ("40001", Fault.CONTENTION),  # serialization failure
    ("40P01", Fault.CONTENTION),  # deadlock detected
    ("57014", Fault.LIMIT),  # statement_timeout, or somebody cancelled the statement
    ("55P03", Fault.LIMIT),  # lock_timeout
    ("25P04", Fault.LIMIT),  # transaction_timeout
    ("53200", Fault.LIMIT),  # out of memory
    ("25006", Fault.OUTAGE),  # read-only: the primary is elsewhere by now
    ("25P03", Fault.OUTAGE),  # the session was closed in the middle of a transaction
    ("08", Fault.OUTAGE),  # connection lost
    ("53", Fault.OUTAGE),  # disk full, too many connections
    ("57", Fault.OUTAGE),  # shutting down, starting up, session ended by an operator or for being idle
    ("58", Fault.OUTAGE),  # I/O error
    ("22", Fault.REFUSED),  # the data does not fit
    ("23", Fault.REFUSED),  # a constraint forbids it
    ("54", Fault.REFUSED),  # too large, too complex
)
# Of the machine and its disks, not of what was asked.
OUTAGE_ERRNOS = frozenset(
    {
        errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.ESTALE, errno.EMFILE, errno.ENFILE, errno.ENXIO,
        errno.ENODEV, errno.ENOTCONN, errno.EREMOTEIO, errno.EHOSTDOWN, errno.ENOMEM,
    }
)  # fmt: skip
# The first word of an answer of Redis or Valkey that changes its role, starts, or cannot write.
BROKER_WORDS = frozenset(
    {
        "BUSY",
        "CLUSTERDOWN",
        "LOADING",
        "MASTERDOWN",
        "MISCONF",
        "NOREPLICAS",
        "OOM",
        "READONLY",
        "TRYAGAIN",
        "UNBLOCKED",
    }
)  # fmt: skip
# By module and name of a class or of one of its bases, for failures without a code.
CLASSES = {
    "django.db.utils.OperationalError": Fault.OUTAGE,
    "django.db.utils.InterfaceError": Fault.OUTAGE,
    "psycopg.OperationalError": Fault.OUTAGE,  # PoolTimeout is one
    "psycopg.InterfaceError": Fault.OUTAGE,
    "kombu.exceptions.OperationalError": Fault.OUTAGE,
    "kombu.exceptions.LimitExceeded": Fault.LIMIT,  # all connections of a pool are taken
    # Of other brokers; what has a code is read by it.
    "amqp.exceptions.ConnectionError": Fault.OUTAGE,
    "amqp.exceptions.RecoverableConnectionError": Fault.OUTAGE,
    "amqp.exceptions.MessageNacked": Fault.LIMIT,
    "redis.exceptions.ConnectionError": Fault.OUTAGE,
    "redis.exceptions.TimeoutError": Fault.OUTAGE,
    # redis-py takes the first word of these answers away.
    "redis.exceptions.ReadOnlyError": Fault.OUTAGE,
    "redis.exceptions.ClusterDownError": Fault.OUTAGE,
    "redis.exceptions.TryAgainError": Fault.OUTAGE,
    "redis.exceptions.OutOfMemoryError": Fault.OUTAGE,
    "redis.exceptions.NoPermissionError": Fault.REFUSED,  # to this user
    "http.client.HTTPException": Fault.LIMIT,
}
# Of packages that an operator adds. What a store of objects answers has a status; this is for one that does not answer.
ADDED_CLASSES = {
    "botocore.exceptions.BotoCoreError": Fault.OUTAGE,
    "sqlalchemy.exc.OperationalError": Fault.OUTAGE,
    "sqlalchemy.exc.InterfaceError": Fault.OUTAGE,
    "sqlalchemy.exc.TimeoutError": Fault.LIMIT,  # all connections of a pool are taken
}
OURS: tuple[tuple[type[errors.AgentappError], Fault], ...] = (
    (errors.Unavailable, Fault.OUTAGE),
    (errors.TransientError, Fault.LIMIT),
)
# Of the request, not of the moment.
FILE_BUGS = (FileNotFoundError, FileExistsError, PermissionError, IsADirectoryError, NotADirectoryError)
LIMIT_STATUSES = frozenset({408, 409, 425, 429})
DEEPEST_CAUSE = 5


def of(error: BaseException) -> Fault:
    """Say what a failure means; one that says nothing by itself is what caused it."""
    cause: BaseException | None = error
    for _ in range(DEEPEST_CAUSE):
        if cause is None:
            break
        found = _alone(cause)
        if found is not None:
            return found
        cause = cause.__cause__
    return Fault.BUG


def of_status(status: int) -> Fault:
    """Say what an HTTP status that is no success means: 408, 409, 425, 429 and 5xx may be different next time."""
    return Fault.LIMIT if status in LIMIT_STATUSES or 500 <= status <= 599 else Fault.REFUSED


def of_sqlstate(code: str) -> Fault:
    return next((fault for start, fault in SQLSTATES if code.startswith(start)), Fault.BUG)


def sqlstate(error: BaseException) -> str | None:
    """Return Postgres's own code for an error of its driver, or of Django around it; None when it never answered."""
    for found in (error, error.__cause__):
        code = getattr(found, "sqlstate", None)
        if isinstance(code, str):
            return code
    return None


def is_missing(error: BaseException) -> bool:
    """Tell whether Postgres has no such table, column, function or schema: it may not be migrated to this release."""
    return sqlstate(error) in ("42P01", "42703", "42883", "3F000")


class Caught:
    """A `with` block that ends quietly at faults of these kinds; `error` is then what came."""

    def __init__(self, kinds: tuple[Fault, ...], *, missing: bool = False) -> None:
        self._kinds = kinds
        self._missing = missing
        self.error: Exception | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if isinstance(error, Exception) and (of(error) in self._kinds or (self._missing and is_missing(error))):
            self.error = error
        return self.error is not None


def caught(*kinds: Fault, missing: bool = False) -> Caught:
    """Catch faults by what they mean: the only way to catch a driver's errors outside of what translates them. With
    `missing` also what is_missing()."""
    return Caught(kinds, missing=missing)


def _alone(error: BaseException) -> Fault | None:
    if isinstance(error, errors.TransientError) and _is_of_the_disk(error.__cause__):
        return Fault.OUTAGE
    if isinstance(error, errors.AgentappError):
        return next((fault for kind, fault in OURS if isinstance(error, kind)), Fault.REFUSED)
    if code := sqlstate(error):
        return of_sqlstate(code)
    if (status := _status(error)) is not None:
        return of_status(status)
    names = {f"{base.__module__}.{base.__qualname__}" for base in type(error).__mro__}
    if "redis.exceptions.ResponseError" in names and str(error).partition(" ")[0] in BROKER_WORDS:
        return Fault.OUTAGE
    if named := [fault for name, fault in (CLASSES | ADDED_CLASSES).items() if name in names]:
        return named[0]
    if isinstance(error, OSError):
        return _of_os_error(error)
    return Fault.LIMIT if isinstance(error, MemoryError) else None


def _of_os_error(error: OSError) -> Fault:
    if _is_of_the_disk(error):
        return Fault.OUTAGE
    return Fault.BUG if isinstance(error, FILE_BUGS) else Fault.LIMIT


def _is_of_the_disk(error: BaseException | None) -> bool:
    return isinstance(error, OSError) and error.errno in OUTAGE_ERRNOS


def _status(error: BaseException) -> int | None:
    """Return the HTTP status that a client's error carries, as requests, httpx, openai, urllib or botocore write it."""
    response = getattr(error, "response", None)
    if isinstance(response, dict):
        metadata = response.get("ResponseMetadata")
        found = metadata.get("HTTPStatusCode") if isinstance(metadata, dict) else None
        return found if isinstance(found, int) and 400 <= found <= 599 else None
    for holder in (error, response):
        status = getattr(holder, "status_code", None) or getattr(holder, "code", None)
        if isinstance(status, int) and 400 <= status <= 599:
            return status
    return None
