"""Log events, not prose: every name stands in one catalogue."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

CATALOGUE = {
    "job.refused": "a message could not be turned into work",
    "job.completed": "a body returned and its result is stored",
    "job.retried": "a body failed and will be tried again",
    "job.dead_lettered": "a body failed for good",
    "job.waits": "a store was away, or another job sends its effect; it is tried again and the attempt does not count",
    "job.recorded_in_part": "the end of an attempt could not be recorded in full; a shorter record was stored",
    "job.not_recorded": "the end of an attempt could not be recorded; its lease runs out",
    "effect.not_recorded": "what became of a call could not be recorded; the next attempt asks its provider",
    "job.asks": "a body asks a person; the job waits without a worker and the attempt does not count",
    "job.reopened": "what should be sent is not what was approved",
    "job.lost_lease": "a result came too late and was discarded",
    "job.not_claimed": "workers took a job's messages and never claimed it; it is a dead letter",
    "job.unknown": "a message names a job type that this worker does not have",
    "job.rescued": "the lease of a lost worker was ended",
    "job.timed_out": "a body exceeded its timeout",
    "job.handed_back": "a worker that ends gave a running job back",
    "job.cancelled": "a body stopped because its task was cancelled",
    "job.cleaned_up": "the clean-up of a cancelled job is done",
    "job.clean_up_asked": "a worker is asked to clean up after a cancelled job",
    "job.clean_up_failed": "a clean-up failed and is asked for again",
    "audit.sealed": "entries of the audit chain were numbered and linked; the newest is its head",
    "approval.escalated": "nobody has decided an approval for long, so more groups may",
    "approval.reminded": "people are reminded of an approval that waits",
    "approval_mails.cut": "more people may decide than are told by mail at once; those who were told longest ago are",
    "approval.expired": "nobody decided in time what jobs of a task had asked; they go on and are told so",
    "workflow.expired": "a task was ended by a rule: its deadline, or that of its approval",
    "broker.refilled": "the broker had forgotten its queues; what was due is published again",
    "bulk_cancellation.done": "a bulk cancellation has finished",
    "bulk_replay.aborted": "too many of the replayed dead letters failed again, so it stopped",
    "bulk_replay.done": "a bulk replay has finished",
    "publish.failed": "the broker does not answer; the dispatcher publishes later",
    "publish.refused": "this process's user of the broker may not write to a queue; the dispatcher publishes there",
    "publish.repeated": "a message was lost or late and was published again",
    "message.failed": "a worker failed at a message in a way that nobody has foreseen; its job is found again",
    "message.dropped": "an entry of a queue could not be read as a message",
    "postgres.unavailable": "Postgres does not answer; waiting",
    "postgres.busy": "Postgres was asked and gave up: a lock or a time limit; tried again",
    "replica.used": "lists and figures are read from the replica",
    "replica.left": "the replica is late or does not answer; lists and figures are read from the primary",
    "postgres.start": "Postgres has too few connections, or no time limits, for the process that starts",
    "postgres.promoted": "a replica became the database; what tasks from before may have sent is in doubt",
    "store.unavailable": "a store of ours does not answer; a body waits for it",
    "dispatcher.leads": "this dispatcher became the leader",
    "dispatcher.deposed": "this dispatcher is no longer the leader",
    "dispatcher.failed": "a round of the dispatcher failed; it goes on with the next",
    "duty.overran": "a round of the dispatcher takes longer than it may; its database connection is interrupted",
    "sweep.failed": "one item could not be moved; it is set aside and tried again later, and the others go on",
    "alive.not_written": "the file that says that this process lives could not be written; a health check may fail",
    "heartbeat.failed": "leases could not be renewed this time",
    "request_counts.not_stored": "what this process counted of its requests could not be stored; it is tried again",
    "breaker.changed": "calls to a model or a tool were stopped, tried once, or let through again",
    "model.fallback": "a model could not answer and its fallback is asked, or cannot be asked either",
    "model.asked_otherwise": "a job that runs again asks its model something new, although kept answers are left",
    "model.learned": "a model refused a part of a request and was asked in another way, which is remembered",
    "model.not_remembered": "what is known of a model could not be read or kept; the call goes on without it",
    "model.quota_exhausted": "the account at a model provider is empty; the model is paused until somebody resumes it",
    "api_key.rotated": "a key has a new secret; the old one ends soon",
    "artifact.missing": "the store of files has not got the content of an artifact, or another than was written",
    "tool_server.tool_changed": "a tool server describes a tool differently than when a person decided about it",
    "schedule.paused": "whom a schedule stands for may no longer submit tasks; it is paused",
    "schedule.failed": "a time of a schedule started nothing: its kind no longer takes its input",
    "webhook.endpoint_disabled": "an endpoint of webhooks is disabled: by its receiver or owner, or for failing",
    "worker.dead": "processes died; their jobs are available again",
    "worker.hung": "a body hangs; its process exits so that it can be restarted",
    "worker.ends": "the drain is over; the process exits",
    "worker.draining": "the worker is stopping: it finishes or hands back what runs and claims nothing more",
}

# What the keys begin with by which workers tell how often an event has happened that tells of a problem.
COUNTED = "event:"

_log = logging.getLogger("agentapp")
_listeners: list[Callable[[str], None]] = []


def listen(listener: Callable[[str], None]) -> None:
    """Call `listener` with the name of each event of this process that is a warning or worse, from now on. It must be
    quick and must not raise."""
    _listeners.append(listener)


def emit(name: str, *, level: int = logging.INFO, **fields: Any) -> None:
    """Log one event of the catalogue with its fields. Raises KeyError for a name that is not in it."""
    if level >= logging.WARNING:
        for listener in _listeners:
            listener(name)
    if _log.isEnabledFor(level):
        _log.log(level, CATALOGUE[name], extra={"event": name, **{key: str(value) for key, value in fields.items()}})
