"""Doing something to the outside world once. [D7]"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from agentapp import failpoints
from agentapp.errors import BeingSent, EffectUnknown, NotSent, PermanentError, TransientError
from agentapp.lifecycle import database
from agentapp.lifecycle import effects as ledger
from agentapp.lifecycle.opened import Claimed
from agentapp.policies.content import canonical_sha256
from agentapp.runtime import meters
from agentapp.runtime.heartbeat import Held
from agentapp.runtime.patience import patiently
from agentapp.runtime.usage import AttemptUsage

Json = dict[str, Any]
Ask = Callable[[str], Json | None]
# A job whose effect another one is sending looks again after this long.
ASK_AGAIN_S = 2


def once(
    job: Claimed,
    usage: AttemptUsage,
    held: Held | None,
    key: str,
    call: Callable[[str], Json],
    *,
    type: str,
    request: Any,
    ask: Ask | None,
) -> Json:
    """Send under `key`, unless it was sent before; see JobContext.effect."""
    sha256 = canonical_sha256(request)
    begin = partial(ledger.begin, job, key, type=type, request_sha256=sha256)
    failpoints.hit("effect.begin.before", job.type)
    entry = begin()
    failpoints.hit("effect.begin.after", job.type)
    while entry.status != "begun":
        mine = usage.answer_of(entry.id)
        if mine is not None:
            # The same key once more in one attempt: its settle will record it.
            return mine
        answer = _found(job, entry, key, ask, sha256=sha256)
        if answer is not None:
            usage.happened(entry.id, answer)
            return answer
        entry = begin(asked=entry)
    database.release()
    answer = _send(job, held, call, entry)
    usage.happened(entry.id, answer)
    return answer


def _send(job: Claimed, held: Held | None, call: Callable[[str], Json], entry: ledger.Entry) -> Json:
    """Call the provider, and write down what a failure proves."""
    try:
        answer = _call(job, held, call, entry)
    except EffectUnknown as error:
        patiently(lambda: ledger.mark_unknown(job, entry))
        error.effect_id = entry.id
        raise
    except (TransientError, PermanentError) as error:
        # Only what is proven may be sent again; whatever else leaves the effect `sent`, and the next attempt asks.
        if isinstance(error, NotSent):
            patiently(lambda: ledger.withdraw(job, entry))
        if job.tool:
            meters.failed(f"tool:{job.tool}", error, job_type=job.type)
        raise
    if job.tool:
        meters.report(f"tool:{job.tool}", "ok", job_type=job.type)
    return answer or {}


def _call(job: Claimed, held: Held | None, call: Callable[[str], Json], entry: ledger.Entry) -> Json:
    """Do it. A worker that ends waits for what is being sent rather than handing it back as unknown."""
    if held is not None:
        held.in_effect = True
    try:
        failpoints.hit("effect.call.before", job.type)
        answer = call(str(entry.id))
        failpoints.hit("effect.call.after", job.type)
        return answer
    finally:
        if held is not None:
            held.in_effect = False


def _found(job: Claimed, entry: ledger.Entry, key: str, ask: Ask | None, *, sha256: str) -> Json | None:
    """What an earlier send has come to: the provider's answer, or None where it has certainly not arrived.

    Raises:
        BeingSent: its sender is at it.
        PermanentError: it was sent with other content.
        EffectUnknown: only the provider knows, and cannot be asked.
    """
    if entry.status == "sending":
        raise BeingSent(f"Another job is sending the effect {key}.", retry_after_s=ASK_AGAIN_S)
    if entry.request_sha256 != sha256:
        raise PermanentError(f"The effect {key} was sent before with other content; it is not sent again.")
    if entry.status == "confirmed":
        return entry.response or {}
    if entry.status == "prepared":
        # Withdrawn between two looks.
        return None
    if ask is None:
        if entry.status == "sent" and not ledger.mark_unknown(job, entry):
            raise BeingSent(f"The effect {key} was begun again by another job.", retry_after_s=ASK_AGAIN_S)
        error = EffectUnknown(
            f"The effect {key} was begun and not confirmed, and its provider cannot be asked. "
            "Find out whether it has arrived, then resolve this dead letter."
        )
        error.effect_id = entry.id
        raise error
    database.release()
    return ask(str(entry.id))
