"""What a failure means, by its code; by its class only where a driver gives no code."""

from __future__ import annotations

import errno
import importlib
import urllib.error
from email.message import Message

import django.db
import kombu.exceptions
import psycopg
import psycopg_pool
import pytest
import redis

from agentapp import errors
from agentapp.policies import faults
from agentapp.policies.faults import Fault

SQLSTATES = {
    "08006": Fault.OUTAGE, "57P01": Fault.OUTAGE, "57P03": Fault.OUTAGE, "57P05": Fault.OUTAGE, "53300": Fault.OUTAGE,
    "53100": Fault.OUTAGE, "58030": Fault.OUTAGE, "25006": Fault.OUTAGE, "25P03": Fault.OUTAGE,
    "40001": Fault.CONTENTION, "40P01": Fault.CONTENTION,
    "57014": Fault.LIMIT, "55P03": Fault.LIMIT, "53200": Fault.LIMIT,
    "22P02": Fault.REFUSED, "22021": Fault.REFUSED, "23505": Fault.REFUSED, "54000": Fault.REFUSED,
    "42P01": Fault.BUG, "XX000": Fault.BUG, "P0001": Fault.BUG,
}  # fmt: skip


def by_django(cause: psycopg.Error) -> django.db.Error:
    """The error as Django raises it: its class is that of the driver's, the code is the driver's alone."""
    kinds = [getattr(django.db, kind.__name__, None) for kind in type(cause).__mro__]
    error: django.db.Error = next(kind for kind in kinds if kind is not None)(str(cause))
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(("code", "fault"), SQLSTATES.items())
def test_postgres_is_read_by_its_code(code: str, fault: Fault) -> None:
    raised = psycopg.errors.lookup(code)("in whatever language")

    assert faults.of(raised) is fault
    assert faults.of(by_django(raised)) is fault


@pytest.mark.parametrize(
    "raised",
    [
        psycopg.OperationalError("connection refused"), psycopg.InterfaceError("the connection is closed"),
        psycopg_pool.PoolTimeout("couldn't get a connection after 30 sec"), errors.Unavailable("away"),
        kombu.exceptions.OperationalError("refused"), redis.ConnectionError(), redis.TimeoutError(),
        redis.ReadOnlyError("You can't write against a read only replica."), redis.BusyLoadingError("LOADING"),
        redis.ResponseError("UNBLOCKED force unblock from blocking operation, instance state changed"),
        redis.ResponseError("MISCONF Valkey is configured to save RDB snapshots"),
        *(OSError(code, "of the disk") for code in (errno.ENOSPC, errno.EIO, errno.EROFS, errno.ESTALE, errno.EDQUOT)),
    ],
    ids=repr,
)  # fmt: skip
def test_a_store_that_does_not_answer_or_cannot_write_is_an_outage(raised: Exception) -> None:
    assert faults.of(raised) is Fault.OUTAGE


@pytest.mark.parametrize(
    "raised",
    [
        TimeoutError(), ConnectionResetError(), OSError(errno.ENETUNREACH, "no route"), MemoryError(),
        errors.RateLimited("x"), urllib.error.HTTPError("http://sample.test", 503, "busy", Message(), None),
    ],
    ids=repr,
)  # fmt: skip
def test_what_fails_outside_may_work_later(raised: Exception) -> None:
    assert faults.of(raised) is Fault.LIMIT


@pytest.mark.parametrize(
    "raised",
    [
        ValueError(), FileNotFoundError(errno.ENOENT, "x"), PermissionError(errno.EACCES, "x"), RecursionError(),
        redis.ResponseError("WRONGTYPE Operation against a key"), SystemExit(1),
    ],
    ids=repr,
)  # fmt: skip
def test_what_nobody_foresaw_is_a_bug(raised: BaseException) -> None:
    assert faults.of(raised) is Fault.BUG


def test_an_error_that_says_nothing_is_what_caused_it() -> None:
    error = RuntimeError("the library gave up")
    error.__cause__ = psycopg.OperationalError("connection refused")

    assert faults.of(error) is Fault.OUTAGE


def test_our_own_word_wins_over_its_cause() -> None:
    error = errors.PermanentError("never")
    error.__cause__ = OSError(errno.ENOSPC, "full")

    assert faults.of(error) is Fault.REFUSED


def test_a_mail_that_a_full_disk_kept_from_being_written_waits_for_the_disk() -> None:
    error = errors.NotSentYet("not written to the outbox")
    error.__cause__ = OSError(errno.ENOSPC, "full")
    assert faults.of(error) is Fault.OUTAGE
    error.__cause__ = OSError(errno.ECONNREFUSED, "no mail server")
    assert faults.of(error) is Fault.LIMIT


def test_causes_that_go_round_in_a_circle_end() -> None:
    first, second = ValueError(), ValueError()
    first.__cause__, second.__cause__ = second, first

    assert faults.of(first) is Fault.BUG


@pytest.mark.parametrize("name", faults.CLASSES)
def test_every_class_that_is_named_exists(name: str) -> None:
    module, _, attribute = name.rpartition(".")

    assert getattr(importlib.import_module(module), attribute)


def test_a_block_ends_quietly_at_the_faults_that_it_names_and_at_no_others() -> None:
    with faults.caught(Fault.OUTAGE) as caught:
        raise errors.Unavailable("away")
    assert str(caught.error) == "away"

    with pytest.raises(ValueError), faults.caught(Fault.OUTAGE):
        raise ValueError
    with faults.caught(Fault.OUTAGE) as caught:
        pass
    assert caught.error is None
