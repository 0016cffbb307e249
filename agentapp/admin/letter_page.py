"""The page of a dead letter: what failed, why, and what a person can do about it."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import zip_longest
from typing import Any

from django.http import HttpRequest

from agentapp.admin import actors, cells, doubt, letter_forms, notices, traces
from agentapp.errors import IllegalMove, InvalidInput
from agentapp.models import Attempt, History, Job
from agentapp.policies import hints
from agentapp.policies.classify import ErrorKind
from agentapp.policies.hints import Hint
from agentapp.services import dead_letters, letter_groups, output_schema
from agentapp.services.principals import Principal

DONE = {
    "replay": "Replayed: the job has all its attempts again, and its history is kept.",
    "edit": "Replayed: the job has all its attempts again, and its history is kept.",
    "fill": "Replayed: the job has all its attempts again, and its history is kept.",
    "back": "Replayed: the task went back to that stage and continues from there.",
    "resolve": "Finished by hand: the task continues with this output.",
    "enter": "Finished by hand: the task continues with this output.",
    "cancel": "The task was cancelled.",
    "notify": "The client is notified: the task shows it, and its streams and webhooks tell it.",
}


def context(request: HttpRequest, job: Job, *, can_replay: bool) -> dict[str, Any]:
    """What the template shows of a letter."""
    error = job.error or {}
    in_doubt = dead_letters.doubtful_effects(job)
    shown = {
        "title": f"{job.type}: {error.get('class', 'dead letter')}",
        "workflow": job.workflow,
        "trace_id": traces.id_of(job.workflow),
        "trace_url": traces.url_of(job.workflow),
        "attempts": _hinted(job),
        "payload": cells.pretty(job.payload),
        "fingerprint": letter_groups.fingerprint_of(job),
        "hint": hints.of(error.get("class", ""), error.get("kind", "")),
        "in_doubt": doubt.of(in_doubt),
        "seen": _seen(job),
        "can_replay": can_replay,
        **notices.of_letter(job),
    }
    if can_replay:
        shown |= {
            "stages": dead_letters.stages_before(job),
            "payload_fields": letter_forms.payload_fields(job),
            "output_fields": letter_forms.output_fields(job),
            "example": output_schema.example(job),
        }
    return shown


def _seen(job: Job) -> str:
    """Which failure a page has shown: a replayed job may have failed again since."""
    return job.finished_at.isoformat() if job.finished_at else ""


def act(principal: Principal, job: Job, posted: Mapping[str, str]) -> None:
    """Do what one of the forms asks for.

    Raises:
        IllegalMove, InvalidInput, NotFound, PermissionDenied: from the service.
    """
    principal.require("dead_letters:write", job.tenant_id)
    if posted.get("seen") not in (None, _seen(job)):
        raise IllegalMove("It was replayed in the meantime and failed again. Look at the new error first.")
    happened = False if posted.get("effect_happened") == "no" else None
    reason = posted.get("reason", "").strip()
    if happened is False and not reason:
        raise InvalidInput("Say how you found out that it did not arrive: the reason is shown in the history.")
    match posted.get("action"):
        case "replay":
            dead_letters.replay(principal, job.pk, effect_happened=happened, reason=reason)
        case "edit":
            edited = letter_forms.parsed(posted.get("payload", ""), noun="payload")
            dead_letters.replay(principal, job.pk, payload=edited, effect_happened=happened, reason=reason)
        case "fill":
            filled = letter_forms.read_payload(job, posted)
            dead_letters.replay(principal, job.pk, payload=filled, effect_happened=happened, reason=reason)
        case "back":
            from_stage = posted.get("from_stage", "")
            dead_letters.replay(principal, job.pk, from_stage=from_stage, effect_happened=happened, reason=reason)
        case "resolve":
            output = letter_forms.parsed(posted.get("output", ""), noun="output")
            dead_letters.resolve(principal, job.pk, output=output, reason=reason)
        case "enter":
            entered = letter_forms.read_output(job, posted)
            dead_letters.resolve(principal, job.pk, output=entered, reason=reason)
        case "cancel":
            dead_letters.cancel(principal, job.pk, reason=reason)
        case "notify":
            dead_letters.notify(principal, job.pk, text=posted.get("text", ""))
        case _:
            raise InvalidInput("Choose one of the buttons: replay, go back, finish by hand, cancel, notify the client.")


def typed(job: Job, posted: Mapping[str, str], error: Exception) -> dict[str, Any]:
    """What a person had typed, for the page that says why it was refused; the fields of a form say it themselves."""
    kept: dict[str, Any] = {
        name: posted.get(name, "") for name in ("action", "payload", "output", "from_stage", "reason", "text")
    }
    if kept["action"] == "fill":
        kept["payload_fields"] = letter_forms.again(letter_forms.payload_fields(job), posted, error, noun="payload")
    elif kept["action"] == "enter":
        kept["output_fields"] = letter_forms.again(letter_forms.output_fields(job), posted, error, noun="output")
    return kept


def _hinted(job: Job) -> list[tuple[Attempt, Hint | None]]:
    """The attempts in order, each with what usually causes its error, where nothing near it says so already."""
    attempts = list(job.attempts.order_by("started_at"))
    error = job.error or {}
    shown: list[tuple[Attempt, Hint | None]] = []
    for attempt, after in zip_longest(attempts, attempts[1:]):
        said = {error.get("class"), shown[-1][0].error_class if shown else ""}
        was_retried = after is not None and after.replay == attempt.replay
        kind = ErrorKind.TRANSIENT.value if was_retried else ""
        is_new = attempt.error_class and attempt.error_class not in said
        shown.append((attempt, hints.of(attempt.error_class, kind) if is_new else None))
    return shown


def fate(job: Job) -> str:
    """What became of a job that was a dead letter, and by whom."""
    last = History.objects.filter(job_id=job.pk, from_state="dead_lettered").order_by("seq").last()
    now = f"the job is {job.state.replace('_', ' ')}"
    if last is None:
        return now
    became = f"{actors.name(last.actor)} made it {last.to_state.replace('_', ' ')} {cells.age(last.at)} ago"
    return f"{became}, and now {now}"
