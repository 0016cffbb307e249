"""A tenant is erased: it is suspended, its work is cancelled, and all that is kept of it goes. For operators. [I3]"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from django.db import IntegrityError
from django.db.models import QuerySet

from agentapp.delivery import mail
from agentapp.dispatch import previews
from agentapp.dispatch.optional_redis import OptionalRedis
from agentapp.dispatch.redis_client import Redis
from agentapp.errors import IllegalMove
from agentapp.ids import parsed
from agentapp.lifecycle import cancel, erase, erase_people
from agentapp.models import Effect, Erasure, Job, Tenant, Workflow
from agentapp.policies.counting import count

PREVIEWS = "previews in the broker"
MAILS = "mails in the outbox"
ANSWER_S = 5.0
LOOK_EVERY_S = 1.0
CANCELLED_AT_ONCE = 500

Say = Callable[[str], None]


@dataclass(frozen=True)
class Report:
    """What went, in all runs of this erase, and what is left: nothing."""

    removed: dict[str, int]
    left: dict[str, int]


def tenant(tenant: Tenant, *, actor: str, say: Say = lambda _: None) -> Report:
    """Erase a tenant with all that is kept of it. Stopped in the middle, it goes on when it is called again.

    Raises:
        IllegalMove: a legal hold keeps the tenant or a task of it, or was placed meanwhile; or something was added
            meanwhile.
        OSError: the store of artifacts, or the broker, does not answer.
    """
    erase.refuse_held(tenant)
    erase.suspend(tenant)
    record = erase.begin(tenant, actor=actor)
    cancelled = cancel_all(erase.open_tasks(tenant), actor, "the tenant is erased")
    say(f"{tenant.slug} is suspended; {count(cancelled, 'open task')} cancelled.")
    jobs = Job.objects.filter(tenant=tenant)
    wait_for_bodies(jobs, say)
    forget_previews(jobs)
    forget_mails(erase.effects(tenant), record)
    gone = 0
    while went := erase.batch(tenant, record):
        gone += went
        say(f"{gone} rows and files are gone.")
    for account in erase_people.forget(tenant, record):
        say(f"The account {account.name} stays: it {account.why}.")
    left = {**erase.left(tenant), PREVIEWS: len(previews_of(jobs))}
    if any(left.values()):
        raise _added_meanwhile(tenant, left)
    try:
        erase.finish(tenant, record)
    except IntegrityError as error:
        raise _added_meanwhile(tenant, erase.left(tenant)) from error
    return Report(Erasure.objects.get(pk=record.pk).removed, left)


def _added_meanwhile(tenant: Tenant, left: dict[str, int]) -> IllegalMove:
    what = ", ".join(f"{rows} {name}" for name, rows in left.items() if rows) or "something"
    return IllegalMove(f"{what} of {tenant.slug} came while it was erased. Run the command again.")


def cancel_all(tasks: QuerySet[Workflow], actor: str, reason: str) -> int:
    """Cancel these open tasks, and return how many that were."""
    cancelled = 0
    while chosen := list(tasks.values_list("pk", flat=True)[:CANCELLED_AT_ONCE]):
        for task_id in chosen:
            try:
                cancel.cancel(task_id, actor=actor, reason=reason)
                cancelled += 1
            except IllegalMove:
                # It ended by itself meanwhile.
                continue
    return cancelled


def wait_for_bodies(jobs: QuerySet[Job], say: Say) -> None:
    """What a body writes after its task is gone would stay in the store."""
    while running := erase.may_still_write(jobs):
        say(f"{running} jobs may still be ending; this takes half a minute at most.")
        time.sleep(LOOK_EVERY_S)


def forget_previews(jobs: QuerySet[Job]) -> None:
    keys = previews_of(jobs)
    if keys:
        OptionalRedis(ANSWER_S).ask(lambda server: server.delete(*keys))


def forget_mails(effects: QuerySet[Effect], record: Erasure) -> None:
    """The file outbox keeps what it has sent; a mail server is not ours."""
    gone = sum(mail.forget(str(effect)) for effect in effects.values_list("pk", flat=True).iterator())
    erase.count(record, MAILS, gone)


def previews_of(jobs: QuerySet[Job]) -> list[str]:
    """Texts of these jobs that were written in the last two minutes: the broker's server drops older ones."""

    def keys(server: Redis) -> list[str]:
        return [
            _text(key) for key in server.scan_iter(match=previews.key("*", 0).rpartition(":")[0] + ":*", count=1000)
        ]

    by_job = {key: parsed(key.split(":")[2]) for key in OptionalRedis(ANSWER_S).ask(keys) or []}
    mine = set(jobs.filter(pk__in=[job for job in by_job.values() if job]).values_list("pk", flat=True))
    return [key for key, job in by_job.items() if job in mine]


def _text(key: str | bytes) -> str:
    return key.decode() if isinstance(key, bytes) else key
