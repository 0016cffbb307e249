"""A database that was restored from a backup is taken in, before anything starts: what it says of leases, messages and
transactions is about processes and a server that are gone, and the ledger of effects may lack what was sent since.

Every function does one batch and may be called again. Until `finish`, no dispatcher leads.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from django.db import connection

from agentapp.lifecycle import database, function_set
from agentapp.lifecycle.requests import SettleRequest
from agentapp.models import DispatcherLease, Job, Restore, Worker
from agentapp.states import AttemptOutcome, JobState

BATCH = 1_000
REASON = "a backup was restored"
# A leader of before, which comes back, finds an epoch that it cannot have had.
EPOCHS = 1_000_000
# A process that lives says so every few seconds.
SEEN_WITHIN = timedelta(seconds=15)
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)

# What was proven not to have been sent may have been sent since: the provider is asked under the same id.
_DOUBT = """
UPDATE agentapp_effect SET state = 'sent', sends = greatest(sends, 1), sender = NULL,
       returned_sends = greatest(sends, 1), returned_at = %(at)s, restored_at = %(at)s
 WHERE id IN (SELECT id FROM agentapp_effect WHERE state = 'prepared' LIMIT %(limit)s)"""
# The broker need not have the messages of before: the dispatcher publishes these from the backlog.
_UNPUBLISH = """
UPDATE agentapp_job SET published_at = NULL, publishes = 0
 WHERE id IN (SELECT id FROM agentapp_job WHERE state = 'available' AND published_at IS NOT NULL LIMIT %(limit)s)"""
# Numbers of transactions of another server are not of this one, which will have them later.
_FORGET_XIDS = """
UPDATE agentapp_history SET xid = NULL WHERE noun <> 'job' AND ctid = ANY(ARRAY(
  SELECT ctid FROM agentapp_history
   WHERE noun <> 'job' AND xid IS NOT NULL AND xid >= pg_snapshot_xmax(pg_current_snapshot()) LIMIT %(limit)s))"""
_REWIND = """
UPDATE agentapp_searchcursor SET seen = pg_current_snapshot()::text, until = NULL, after_xid = NULL, after_task = NULL,
       older_than = coalesce(older_than, 'ffffffff-ffff-ffff-ffff-ffffffffffff')"""


def is_copy() -> bool:
    """Tell whether this is a copy of a database that nobody has taken in."""
    function = f"{function_set.SCHEMA}.origin()"
    # A process may start before its migrations have run.
    is_known = database.statement("SELECT to_regprocedure(%s) IS NOT NULL", [function])
    return bool(is_known and database.statement(f"SELECT {function}", []) == "copy")


def is_in_use() -> bool:
    """Tell whether processes work with this database, and it is no copy, in which rows speak of processes elsewhere."""
    now = database.now()
    leads = DispatcherLease.objects.filter(expires_at__gt=now).exclude(holder="")
    return not is_copy() and (leads.exists() or Worker.objects.filter(seen_at__gt=now - SEEN_WITHIN).exists())


def begin(*, actor: str, is_whole: bool = False) -> Restore:
    """Note the restore, or go on with one that was stopped. From here on processes of before own nothing. `is_whole`:
    nothing has run since the backup was made, so that it lacks nothing."""
    with database.atomic():
        open_restore = Restore.objects.filter(table_number=0).order_by("-pk").first()
        restore = open_restore or Restore.objects.create(
            at=None if is_whole else database.now(), cluster="", table_number=0, actor=actor
        )
        if restore.at is None and not is_whole:
            # The run before said that nothing had run since the backup; this one does not.
            restore.at = database.now()
            restore.save(update_fields=["at"])
        for lease in DispatcherLease.objects.select_for_update():
            DispatcherLease.objects.filter(pk=lease.pk).update(
                epoch=lease.epoch + EPOCHS, holder="", session=None, expires_at=LONG_AGO, report=None
            )
        Worker.objects.all().delete()
    return restore


def hand_back(restore: Restore) -> int:
    """Make jobs available again that a process of before had claimed; the attempt does not count. One that cannot be is
    left to the dispatcher, which looks for lost ones."""
    changed = 0
    running = Job.objects.filter(state=JobState.RUNNING).order_by("pk")
    jobs = list(running.only("id", "workflow_id", "lease_token", "process")[:BATCH])
    for job in jobs:
        ending = SettleRequest(
            workflow=str(job.workflow_id), job=str(job.pk), token=str(job.lease_token), state=JobState.AVAILABLE.value,
            outcome=AttemptOutcome.HANDED_BACK.value, reason=REASON, is_counted=False, watched=False,
        )  # fmt: skip
        answer = database.call(
            "lose", ending=vars(ending), actor=restore.actor, is_certain=True, process=job.process, seen=None
        )
        changed += answer.get("status") != "lost"
    return changed


def doubt(restore: Restore) -> int:
    """Count as sent what was not, as far as the backup knows."""
    return _run(_DOUBT, at=restore.at) if restore.at else 0


def unpublish(restore: Restore) -> int:
    """Let jobs be published again that wait for a message."""
    return _run(_UNPUBLISH)


def forget_transactions(restore: Restore) -> int:
    """Forget numbers of transactions that this server has not reached yet."""
    return _run(_FORGET_XIDS)


def finish(restore: Restore, report: dict[str, int]) -> None:
    """Let a dispatcher lead."""
    with database.atomic():
        _run(_REWIND)
        Restore.objects.filter(pk=restore.pk).update(report=report)
        database.call("know_database", restore=restore.pk)


def _run(statement: str, **parameters: datetime | None) -> int:
    with database.atomic(), connection.cursor() as cursor:
        cursor.execute(statement, {**parameters, "limit": BATCH})
        return int(cursor.rowcount)
