"""Doing something to the outside world once. [D7]"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from agentapp import clock, failpoints
from agentapp.errors import (
    BeingSent,
    DatabaseBusy,
    EffectUnknown,
    NotSent,
    PermanentError,
    TransientError,
    Unavailable,
)
from agentapp.lifecycle import database
from agentapp.lifecycle import effects as ledger
from agentapp.lifecycle.opened import Claimed
from agentapp.observability import events
from agentapp.policies.content import canonical_sha256
from agentapp.runtime import meters
from agentapp.runtime.heartbeat import Held
from agentapp.runtime.patience import patiently
from agentapp.runtime.usage import AttemptUsage

Json = dict[str, Any]
Ask = Callable[[str], Json | None]
# What becomes of a send that was not answered; see lifecycle.effects.
End = Callable[[Claimed, ledger.Entry], object]
# A job whose effect another one is sending looks again after this long; one whose effect may still arrive, later.
ASK_AGAIN_S = 2
ASK_LATER_S = 15
LATE_S = ledger.LATE_S


@dataclass(frozen=True)
class Provider:
    """How an effect is done, and what is known of who does it; see JobContext.effect."""

    call: Callable[[str], Json]
    ask: Ask | None = None
    is_idempotent: bool = False
    late_s: float = LATE_S
    ask_restored: Ask | None = None


@dataclass(frozen=True)
class Attempt:
    """The attempt that sends: its job, what it did so far, and how it waits for Postgres before its call."""

    job: Claimed
    usage: AttemptUsage
    held: Held | None
    patience: Callable[[Callable[[], ledger.Entry]], ledger.Entry]


def once(attempt: Attempt, key: str, provider: Provider, *, type: str, request: Any) -> Json:
    """Send under `key`, unless it was sent before; see JobContext.effect."""
    job, usage, sha256 = attempt.job, attempt.usage, canonical_sha256(request)

    def begin(asked: ledger.Entry | None = None) -> ledger.Entry:
        # Asked again by the same attempt, the ledger says that it began this: an answer that is lost costs nothing.
        return attempt.patience(
            lambda: ledger.begin(
                job, key, type=type, request_sha256=sha256, asked=asked, is_idempotent=provider.is_idempotent,
                late_s=provider.late_s,
            )
        )  # fmt: skip

    failpoints.hit("effect.begin.before", job.type)
    entry = begin()
    failpoints.hit("effect.begin.after", job.type)
    while not usage.may_send(entry.id, entry.sends, entry.status):
        mine = usage.answer_of(entry.id)
        if mine is not None:
            # The same key once more in one attempt: its settle will record it.
            return mine
        answer = _found(job, entry, key, provider, sha256=sha256)
        if answer is not None:
            usage.happened(entry.id, answer)
            return answer
        entry = begin(entry)
    database.release()
    answer = _send(attempt, provider.call, entry)
    usage.happened(entry.id, answer)
    return answer


def keep_answers(job: Claimed, usage: AttemptUsage) -> None:
    """Record what providers have answered to an attempt that ends without a settle of its own."""
    if not usage.effects:
        return
    try:
        patiently(lambda: ledger.confirm(job, usage.effects))
    except (Unavailable, DatabaseBusy) as error:
        # They stay `sent`: the next attempt asks.
        events.emit("effect.not_recorded", level=logging.ERROR, job=job.id, type=job.type, error=error)


def _send(attempt: Attempt, call: Callable[[str], Json], entry: ledger.Entry) -> Json:
    """Call the provider, and write down what a failure proves."""
    job = attempt.job
    # Only what is proven may be sent again at once; after any other failure the next attempt asks.
    end: End | None = ledger.came_back
    try:
        answer = _call(attempt, call, entry)
        end = None
    except EffectUnknown as error:
        end, error.effect_id = ledger.mark_unknown, entry.id
        raise
    except (TransientError, PermanentError) as error:
        if isinstance(error, NotSent):
            end = ledger.withdraw
        if job.tool:
            meters.failed(f"tool:{job.tool}", error, job_type=job.type)
        raise
    finally:
        if end is not None:
            _record(end, job, entry)
    if job.tool:
        meters.report(f"tool:{job.tool}", "ok", job_type=job.type)
    return answer or {}


def _record(end: End, job: Claimed, entry: ledger.Entry) -> None:
    try:
        patiently(lambda: end(job, entry))
    except (Unavailable, DatabaseBusy) as error:
        # Until it could no longer hang, the call counts as hanging.
        events.emit("effect.not_recorded", level=logging.WARNING, job=job.id, type=job.type, error=error)


def _call(attempt: Attempt, call: Callable[[str], Json], entry: ledger.Entry) -> Json:
    """Do it. A worker that ends waits for what is being sent rather than handing it back as unknown."""
    held = attempt.held
    if held is not None:
        held.in_effect = True
    try:
        failpoints.hit("effect.call.before", attempt.job.type)
        answer = call(str(entry.id))
        failpoints.hit("effect.call.after", attempt.job.type)
        return answer
    finally:
        if held is not None:
            held.in_effect = False


def _found(job: Claimed, entry: ledger.Entry, key: str, provider: Provider, *, sha256: str) -> Json | None:
    """What an earlier send has come to: the provider's answer, or None where it may be sent again.

    Raises:
        BeingSent: its sender is at it, or it may still arrive.
        PermanentError: it was sent with other content.
        EffectUnknown: only the provider knows, and cannot be asked.
    """
    if entry.status == "copy":
        raise _being_sent(
            f"The effect {key} may have been sent: this database is a copy. Run `manage.py after_restore`.", entry
        )
    if entry.status == "promoted":
        raise _being_sent(
            f"The effect {key} may have been sent: a replica became this database, which no dispatcher has noted yet.",
            entry,
        )
    if entry.status == "sending":
        raise _being_sent(f"Another job is sending the effect {key}.", entry)
    if entry.request_sha256 != sha256:
        raise PermanentError(f"The effect {key} was sent before with other content; it is not sent again.")
    if entry.status == "confirmed":
        return entry.response or {}
    # Under its own id, the provider has not seen what was sent before a backup was restored.
    ask = provider.ask_restored if entry.is_restored else provider.ask
    answer, doubt = _asked(entry, ask) if ask is not None else (None, None)
    if answer is not None:
        return answer
    if entry.status in ("in flight", "repeated"):
        # Not seen yet is not the same as not sent.
        raise _being_sent(f"A send of the effect {key} has not ended and may still arrive.", entry)
    if doubt is None and (ask is not None or (provider.is_idempotent and not entry.is_restored)):
        return None
    if entry.status == "sent" and not ledger.mark_unknown(job, entry, late_s=provider.late_s):
        raise _being_sent(f"The effect {key} was begun again by another job.", entry)
    doubt = doubt or EffectUnknown(_sentence(key, entry))
    doubt.effect_id = entry.id
    raise doubt


def _sentence(key: str, entry: ledger.Entry) -> str:
    what = f"The effect {key} was begun and not confirmed, and its provider cannot be asked. "
    if entry.is_restored:
        end = str(entry.id)[14:]
        what = f"The effect {key} may have been sent before a backup was restored, under an id that ends with {end}. "
    return what + "Find out whether it has arrived, then resolve this dead letter."


def _asked(entry: ledger.Entry, ask: Ask) -> tuple[Json | None, EffectUnknown | None]:
    """The provider's answer, or why it cannot tell; neither where it has seen nothing."""
    database.release()
    try:
        return ask(str(entry.id)), None
    except EffectUnknown as error:
        return None, error


def _being_sent(sentence: str, entry: ledger.Entry) -> BeingSent:
    wait_s: float = ASK_AGAIN_S
    if entry.status != "sending" and entry.until is not None:
        wait_s = min(ASK_LATER_S, max(ASK_AGAIN_S, (entry.until - clock.now()).total_seconds()))
    error = BeingSent(sentence, retry_after_s=math.ceil(wait_s))
    error.effect_id = entry.id
    return error
