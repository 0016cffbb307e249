"""Doing something to the outside world once. [D7]"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from agentapp import failpoints
from agentapp.errors import EffectUnknown, PermanentError, TransientError
from agentapp.lifecycle import database
from agentapp.lifecycle import effects as ledger
from agentapp.lifecycle.opened import Claimed
from agentapp.policies.content import canonical_sha256
from agentapp.runtime import meters
from agentapp.runtime.heartbeat import Held
from agentapp.runtime.usage import AttemptUsage

Json = dict[str, Any]


def once(
    job: Claimed,
    usage: AttemptUsage,
    held: Held | None,
    key: str,
    call: Callable[[str], Json],
    *,
    type: str,
    request: Any,
    ask: Callable[[str], Json | None] | None,
) -> Json:
    """Send under `key`, unless it was sent before; see JobContext.effect."""
    sha256 = canonical_sha256(request)
    failpoints.hit("effect.begin.before", job.type)
    entry = ledger.begin(job, key, type=type, request_sha256=sha256)
    failpoints.hit("effect.begin.after", job.type)
    if entry.status != "begun":
        if entry.request_sha256 != sha256:
            raise PermanentError(f"The effect {key} was sent before with other content; it is not sent again.")
        answer = entry.response if entry.status == "confirmed" else _asked(entry, key, ask)
        if answer is not None:
            usage.happened(entry.id, answer)
            return answer
        entry = ledger.begin(job, key, type=type, request_sha256=sha256, again=True)
    database.release()
    try:
        answer = _call(job, held, call, entry)
        if job.tool:
            meters.report(f"tool:{job.tool}", "ok", job_type=job.type)
    except EffectUnknown as error:
        ledger.mark_unknown(entry)
        error.effect_id = entry.id
        raise
    except (TransientError, PermanentError) as error:
        ledger.withdraw(entry)
        if job.tool:
            meters.failed(f"tool:{job.tool}", error, job_type=job.type)
        raise
    usage.happened(entry.id, answer)
    return answer


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


def _asked(entry: ledger.Entry, key: str, ask: Callable[[str], Json | None] | None) -> Json | None:
    """An earlier attempt began and did not confirm: only the provider knows."""
    if ask is None:
        ledger.mark_unknown(entry)
        error = EffectUnknown(
            f"The effect {key} was begun and not confirmed, and its provider cannot be asked. "
            "Find out whether it has arrived, then resolve this dead letter."
        )
        error.effect_id = entry.id
        raise error
    database.release()
    return ask(str(entry.id))
