"""One customer of a tenant is erased: their tasks are cancelled, and all that names them goes. For operators. [I3]"""

from __future__ import annotations

from agentapp.errors import IllegalMove, InvalidInput
from agentapp.lifecycle import erase, erase_customer
from agentapp.lifecycle.customer import Customer
from agentapp.models import Effect, Erasure, Job, Tenant, Workflow
from agentapp.policies import facts
from agentapp.policies.counting import count
from agentapp.services import erasing
from agentapp.services.erasing import PREVIEWS, Report, Say

REASON = "the customer is erased"
# A shorter word would be found in texts about others.
LEAST = 5
# What is told of the cancelled tasks, and what a body had already begun, may name the customer once more.
ROUNDS = 3


def of(tenant: Tenant, about: str) -> Customer:
    """Raises InvalidInput for what is too short to name one person."""
    found = facts.about(about)
    if len(found) < LEAST:
        raise InvalidInput.at("about", f"Write a mail address, or a name of at least {LEAST} characters.")
    return Customer(tenant, found)


def named(who: Customer) -> dict[str, int]:
    """How many rows name them, by table."""
    return erase_customer.left(who)


def customer(who: Customer, *, actor: str, say: Say = lambda _: None) -> Report:
    """Erase a customer. Stopped in the middle, it goes on when it is called again.

    Raises:
        IllegalMove: a legal hold keeps the tenant, or a task, document or fact that would go; a task that goes on runs
            one of theirs as a part; or something was added meanwhile.
        OSError: the store of artifacts, or the broker, does not answer.
    """
    tasks = who.tasks()
    erase_customer.refuse_kept(who, tasks)
    erase_customer.refuse_waited_for(tasks)
    record = erase.begin(who.tenant, actor=actor, about_hash=who.digest())
    left: dict[str, int] = {}
    for _ in range(ROUNDS):
        left = _round(who, record, actor, say)
        if not any(left.values()):
            erase_customer.finish(record)
            return Report(Erasure.objects.get(pk=record.pk).removed, left)
    what = ", ".join(f"{rows} {name}" for name, rows in left.items() if rows)
    raise IllegalMove(f"{what} that name the customer came while they were erased. Run the command again.")


def _round(who: Customer, record: Erasure, actor: str, say: Say) -> dict[str, int]:
    erase_customer.begin(who, record)
    tasks = who.tasks()
    cancelled = erasing.cancel_all(Workflow.objects.filter(pk__in=tasks, finished_at=None), actor, REASON)
    opened = f" Open ones that were cancelled: {cancelled:,}." if cancelled else ""
    say(f"The customer is named by {count(len(tasks), 'task')}.{opened}")
    jobs = Job.objects.filter(workflow__in=tasks)
    erasing.wait_for_bodies(jobs, say)
    erasing.forget_previews(jobs)
    erasing.forget_mails(Effect.objects.filter(workflow_id__in=tasks), record)
    tasks |= who.tasks()
    gone = 0
    for step in erase_customer.steps(who, tasks, record):
        while went := step():
            gone += went
            say(f"{gone} rows and files are gone.")
    return {**erase_customer.left(who), PREVIEWS: len(erasing.previews_of(jobs))}
