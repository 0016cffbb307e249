"""Which failures may be tried again. [F1]"""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import pytest

from agentapp import errors
from agentapp.policies import faults, model_choices
from agentapp.policies.classify import ErrorKind, classify, disbelief, retry_after_s
from agentapp.policies.faults import Fault

CHANGED = errors.ContentChanged("changed", approval_id=UUID(int=1), content={"to": "a@sample.test"}, sha256="0" * 64)

KINDS: dict[type[Exception], tuple[Exception, ErrorKind]] = {
    errors.AgentappError: (errors.AgentappError("x"), ErrorKind.PERMANENT),
    errors.TransientError: (errors.TransientError("x"), ErrorKind.TRANSIENT),
    errors.RateLimited: (errors.RateLimited("x"), ErrorKind.TRANSIENT),
    errors.InvalidModelOutput: (errors.InvalidModelOutput("x"), ErrorKind.TRANSIENT),
    errors.TimedOut: (errors.TimedOut("x"), ErrorKind.TRANSIENT),
    errors.DatabaseBusy: (errors.DatabaseBusy("x"), ErrorKind.TRANSIENT),
    errors.PermanentError: (errors.PermanentError("x"), ErrorKind.PERMANENT),
    errors.ModelRefused: (errors.ModelRefused("x"), ErrorKind.PERMANENT),
    errors.PromptTooLong: (errors.PromptTooLong("x"), ErrorKind.PERMANENT),
    errors.QuotaExhausted: (errors.QuotaExhausted("x"), ErrorKind.PERMANENT),
    errors.InvalidPayload: (errors.InvalidPayload("x"), ErrorKind.PERMANENT),
    errors.InvalidPlan: (errors.InvalidPlan("x"), ErrorKind.PERMANENT),
    errors.PermissionDenied: (errors.PermissionDenied("x"), ErrorKind.PERMISSION),
    errors.BudgetUsedUp: (errors.BudgetUsedUp("x"), ErrorKind.PERMANENT),
    errors.PolicyBlocked: (errors.PolicyBlocked("x"), ErrorKind.PERMANENT),
    errors.ToolFailed: (errors.ToolFailed("x"), ErrorKind.PERMANENT),
    errors.NotSent: (errors.NotSent("x"), ErrorKind.PERMANENT),
    errors.NotSentYet: (errors.NotSentYet("x"), ErrorKind.TRANSIENT),
    errors.CannotBeSent: (errors.CannotBeSent("x"), ErrorKind.PERMANENT),
    errors.LostLease: (errors.LostLease("x"), ErrorKind.PERMANENT),
    errors.Cancelled: (errors.Cancelled("x"), ErrorKind.PERMANENT),
    errors.HandedBack: (errors.HandedBack("x"), ErrorKind.PERMANENT),
    errors.ContentChanged: (CHANGED, ErrorKind.CONTENT_CHANGED),
    errors.AsksPerson: (errors.AsksPerson("x", question={}), ErrorKind.PERMANENT),
    errors.NotApproved: (
        errors.NotApproved("x", decision="rejected", reason="", approval_id=UUID(int=1)),
        ErrorKind.PERMANENT,
    ),
    errors.EffectUnknown: (errors.EffectUnknown("x"), ErrorKind.PERMANENT),
    errors.IllegalMove: (errors.IllegalMove("x"), ErrorKind.PERMANENT),
    errors.Overloaded: (errors.Overloaded("x", retry_after_s=1, most=1, left=0), ErrorKind.PERMANENT),
    errors.NotFound: (errors.NotFound("x"), ErrorKind.PERMANENT),
    errors.ContentMissing: (errors.ContentMissing("x"), ErrorKind.PERMANENT),
    errors.BeingAsked: (errors.BeingAsked("x"), ErrorKind.PERMANENT),
    errors.AskedBefore: (errors.AskedBefore(UUID(int=0)), ErrorKind.PERMANENT),
    errors.KeyUsedOtherwise: (errors.KeyUsedOtherwise("x"), ErrorKind.PERMANENT),
    errors.InvalidInput: (errors.InvalidInput("x"), ErrorKind.PERMANENT),
    errors.Unavailable: (errors.Unavailable("x"), ErrorKind.TRANSIENT),
    errors.BeingSent: (errors.BeingSent("x"), ErrorKind.TRANSIENT),
    errors.DayUsedUp: (errors.DayUsedUp("x"), ErrorKind.TRANSIENT),
    errors.TaskIsOpen: (errors.TaskIsOpen("x"), ErrorKind.TRANSIENT),
    errors.ReceiverBusy: (errors.ReceiverBusy("x"), ErrorKind.TRANSIENT),
}


@pytest.mark.parametrize(("error", "kind"), KINDS.values(), ids=[error.__name__ for error in KINDS])
def test_every_error_of_ours_has_its_kind(error: Exception, kind: ErrorKind) -> None:
    assert classify(error) is kind


def test_no_error_class_is_left_out() -> None:
    ours = {item for item in vars(errors).values() if isinstance(item, type) and issubclass(item, errors.AgentappError)}

    assert ours == set(KINDS)


@pytest.mark.parametrize(
    "error", [TimeoutError(), ConnectionError(), ConnectionResetError(), BrokenPipeError(), ConnectionRefusedError()]
)
def test_time_outs_and_broken_connections_are_transient(error: Exception) -> None:
    assert classify(error) is ErrorKind.TRANSIENT


@pytest.mark.parametrize(
    "error",
    [ValueError(), KeyError("k"), ZeroDivisionError(), json.JSONDecodeError("", "", 0)],
)
def test_a_bug_does_not_get_better_by_running_it_again(error: Exception) -> None:
    assert classify(error) is ErrorKind.PERMANENT


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503, 504, 529, 599])
def test_a_status_that_may_pass_is_retried(status: int) -> None:
    assert faults.of_status(status) is Fault.LIMIT


@pytest.mark.parametrize("status", [200, 301, 400, 401, 403, 404, 410, 413, 422, 451, 499, 600])
def test_a_status_that_will_stay_is_not(status: int) -> None:
    assert faults.of_status(status) is Fault.REFUSED


def test_retry_after_is_read_from_errors_that_carry_it() -> None:
    assert retry_after_s(errors.RateLimited("x", retry_after_s=7)) == 7
    assert retry_after_s(errors.Unavailable("x", retry_after_s=3)) == 3
    assert retry_after_s(errors.TransientError("x")) is None
    assert retry_after_s(TimeoutError()) is None


@pytest.mark.parametrize(
    ("asked_s", "said"),
    [
        (None, ""), (30.0, ""), (3_600.0, ""), (1e14, "a wait of 100000000000000.0 s; 3600 s is the longest"),
        (float("nan"), "a wait of nan s"), ([], "a wait of [] s"),
        pytest.param(10**5_000, "a wait of 0x", id="endless"),
    ],
)  # fmt: skip
def test_a_wait_that_is_not_believed_is_told_whatever_it_is(asked_s: Any, said: str) -> None:
    told = disbelief(errors.TransientError("x", retry_after_s=asked_s))

    assert said in told and bool(told) is bool(said)


@pytest.mark.parametrize(
    ("asked_s", "is_for_long"),
    [(None, False), (float("nan"), False), ("soon", False), ([], False), (-1, False), (float("inf"), True)],
)
def test_whatever_wait_an_error_carries_it_is_known_whether_another_model_may_answer(
    asked_s: Any, is_for_long: bool
) -> None:
    assert model_choices.another_may_answer(errors.RateLimited("x", retry_after_s=asked_s)) is is_for_long
