"""dead_lettered -> available | completed | cancelled: what a person does with a dead letter."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.db import DataError, IntegrityError

from agentapp.errors import IllegalMove, InvalidInput
from agentapp.lifecycle import database
from agentapp.lifecycle.opened import Opened
from agentapp.models import Job

Json = dict[str, Any]

# What a move answers instead of being made.
REFUSALS = {
    "no dead letter": "This job is no dead letter any more; it is {state}. Somebody was faster.",
    "died again": "This job was replayed in the meantime, and failed again.",
    "over": "Its task is over ({state}), so nothing of it can run any more. Fork the task, or submit a new one.",
    "passed": "Its task has gone on without it, so it cannot go back to an earlier stage. Replay the job alone.",
    "unknown effect": (
        "It began the effect {effects}, and nobody knows whether that has arrived. Find out. If it has not, replay "
        "with effect_happened = false; if it has, resolve the dead letter with the output that it should have had."
    ),
    "being sent": "Another job is sending its effect {effects} right now. Wait until it is known what becomes of that.",
    "in flight": (
        "The call that sends its effect {effects} has not come back and may still do it, until {until}. Before that "
        "nobody can know whether it has happened."
    ),
    "decision": (
        "A decision could not be opened here, so there is no job to run or to finish. Replay the task from an earlier "
        "stage, or cancel it."
    ),
}
UNUSABLE = "The stage that follows cannot use this output: enter what an attempt of {type} returns."


def replay(
    job: Job,
    *,
    actor: str,
    payload: Json | None = None,
    effect_happened: bool | None = None,
    died_before: datetime | None = None,
    reason: str = "replayed",
) -> Opened:
    """Make a dead letter available again with a fresh attempt budget, with another payload where one is given.

    `effect_happened=False`: a person has found out that what it began to send has not arrived. `died_before` guards
    against replaying the same letter twice: it must have become one by then.

    Raises:
        IllegalMove: it is no dead letter any more, its task is over, or nobody knows whether its effect has happened,
            or can know yet.
        InvalidInput: the payload names a queue or a tool that its part cannot have; nothing is stored.
    """
    try:
        answer = database.call(
            "replay", workflow=job.workflow_id, job=job.pk, actor=actor, reason=reason, payload=payload,
            effect_happened=effect_happened, died_before=died_before,
        )  # fmt: skip
    except DataError as error:
        raise InvalidInput.at("payload", database.refusal(error) or "The job cannot run with this payload.") from error
    return _opened(answer)


def replay_from(job: Job, stage: str, *, actor: str, effect_happened: bool | None = None, reason: str = "") -> Opened:
    """Do the way from the latest round of `stage` up to this dead letter once more; the dead letter is cancelled.

    Raises:
        IllegalMove: as `replay`, or the task has gone on past its stage.
        InvalidInput: there is no such stage before it; the sentence names those that there are.
    """
    answer = database.call(
        "replay_from", workflow=job.workflow_id, job=job.pk, actor=actor, from_stage=stage,
        effect_happened=effect_happened, reason=reason,
    )  # fmt: skip
    if answer["status"] == "no such stage":
        sentence = f"There is no stage {stage!r} before this job. Choose one of: {', '.join(answer['stages'])}."
        raise InvalidInput.at("from_stage", sentence)
    return _opened(answer)


def stages_before(job: Job) -> list[str]:
    """Return the stages that a dead letter can be replayed from, its own last; none when its task has gone on."""
    found: list[str] = database.call("stages_before", job=job.pk)["stages"]
    return found


def resolve(job: Job, *, output: Json, actor: str, reason: str) -> Opened:
    """Finish a dead letter with an output that a person entered, and open what waited for it.

    Effects of which nobody knew the end count as happened from now on.

    Raises:
        IllegalMove: it is no dead letter any more, its task is over, or its effect is being sent or may still arrive.
        InvalidInput: what follows cannot be made from this output; nothing is stored.
    """
    try:
        answer = database.call(
            "resolve", workflow=job.workflow_id, job=job.pk, actor=actor, output=output, reason=reason
        )
    except (DataError, IntegrityError) as error:
        sentence = database.refusal(error) or UNUSABLE.format(type=job.type)
        raise InvalidInput.at("output", sentence) from error
    return _opened(answer)


def archive(job: Job, *, actor: str, reason: str) -> None:
    """Cancel a dead letter whose task is over without it. Raises IllegalMove when it is not, or no dead letter."""
    answer = database.call("archive", workflow=job.workflow_id, job=job.pk, actor=actor, reason=reason)
    if answer["status"] != "ok":
        raise IllegalMove(f"This job is no dead letter of a task that is over; its task is {answer['state']}.")


def _opened(answer: Json) -> Opened:
    if answer["status"] != "ok":
        state = (answer.get("state") or "gone").replace("_", " ")
        effects, until = ", ".join(answer.get("effects", [])), answer.get("until")
        until = f"{datetime.fromisoformat(until).astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC" if until else ""
        raise IllegalMove(REFUSALS[answer["status"]].format(state=state, effects=effects, until=until))
    return Opened.of(answer)
