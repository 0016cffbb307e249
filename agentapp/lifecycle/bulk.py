"""Bulk replay: (new) -> canary -> running -> done | aborted. The jobs in it make the moves of single dead letters."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from uuid import UUID

from agentapp.errors import IllegalMove
from agentapp.lifecycle import bulk_work, dead_letters
from agentapp.lifecycle.opened import Opened
from agentapp.models import BulkReplay, Job
from agentapp.policies import bulk as policy
from agentapp.policies.bulk import Progress
from agentapp.states import BulkReplayState, JobState


def start(
    *,
    tenant_id: int | None,
    selection: dict[str, str],
    job_type: str,
    jobs: Sequence[UUID],
    left_out: int,
    in_doubt: int = 0,
    canary: int,
    batch: int,
    actor: str,
) -> BulkReplay:
    """Write down that these dead letters are to be replayed; the dispatcher does it. `tenant_id` None: of all tenants.

    `selection` is what was asked for, all of it of one `job_type`; `left_out` says how many more of it there are, and
    `in_doubt` how many are not taken because nobody knows whether their effects have happened.

    Raises:
        IllegalMove: the same selection is being replayed already.
    """
    row = BulkReplay(
        tenant_id=tenant_id, waiting=[str(job) for job in jobs], canary=canary, batch=batch, actor=actor,
        selection={"job_type": job_type, "total": len(jobs), "left_out": left_out, "in_doubt": in_doubt},
    )  # fmt: skip
    return bulk_work.begin(row, asked={**selection})


def progress(row: BulkReplay) -> Progress:
    return Progress(len(row.waiting), len(row.replayed), row.succeeded, row.failed)


def observe(row_id: UUID) -> BulkReplay:
    """Count what became of the jobs that are under way, and return the row as it is then.

    A job whose fate is counted leaves the list in the same commit: once, even if the process dies in between.
    """
    with bulk_work.locked(BulkReplay, row_id) as row:
        if row.finished_at is not None or not row.replayed:
            return row
        fates = _fates(row)
        row.replayed = [job for job in row.replayed if fates[job] == "under way"]
        row.succeeded += sum(fate == "succeeded" for fate in fates.values())
        row.failed += sum(fate == "failed" for fate in fates.values())
        if policy.is_proven(progress(row), canary=row.canary):
            row.state = BulkReplayState.RUNNING
        row.save(update_fields=["replayed", "succeeded", "failed", "state"])
    return row


def _fates(row: BulkReplay) -> dict[str, str]:
    """Say of each job under way: under way, succeeded, failed, or gone: cancelled, deleted, or never replayed."""
    fates = dict.fromkeys(row.replayed, "gone")
    jobs = Job.objects.filter(pk__in=row.replayed).values_list("pk", "state", "finished_at")
    for job_id, state, finished_at in jobs:
        if state == JobState.COMPLETED:
            fates[str(job_id)] = "succeeded"
        elif state == JobState.DEAD_LETTERED:
            # A letter from before could not be replayed, for instance because of an effect that nobody knows about.
            died_again = finished_at is not None and finished_at > row.created_at
            fates[str(job_id)] = "failed" if died_again else "gone"
        elif state != JobState.CANCELLED:
            fates[str(job_id)] = "under way"
    return fates


def next_waiting(row_id: UUID, count: int, *, but_not: Sequence[UUID | str] = ()) -> tuple[list[str], list[Job]]:
    """Return the ids of the next `count` that wait, apart from `but_not`, and the jobs among them that still exist."""
    chosen = bulk_work.next_waiting(BulkReplay, row_id, count, but_not=but_not)
    jobs = {str(job.pk): job for job in Job.objects.only("id", "workflow_id", "type").filter(pk__in=chosen)}
    return chosen, [jobs[job_id] for job_id in chosen if job_id in jobs]


def replay(row: BulkReplay, job: Job) -> Opened | None:
    """Replay one of a bulk replay, in a commit of its own; None when somebody was faster.

    A process that dies before `mark_replayed` finds the same job again and does not replay it twice: a job that died
    after this bulk replay was started is left alone.
    """
    try:
        return dead_letters.replay(
            job, actor=row.actor, died_before=row.created_at, reason=f"replayed with others of its kind ({row.pk})"
        )
    except IllegalMove:
        # What became of it is seen at the next count.
        return None


def mark_replayed(row_id: UUID, released: Collection[str]) -> None:
    """Write down that these no longer wait but are under way."""
    with bulk_work.locked(BulkReplay, row_id) as row:
        moved = [job for job in row.waiting if job in released]
        row.waiting = [job for job in row.waiting if job not in released]
        row.replayed = [*row.replayed, *moved]
        row.save(update_fields=["waiting", "replayed"])
