"""What each broker declares, and what the dispatcher makes of it."""

from __future__ import annotations

from pathlib import Path

import pytest
import redis

from agentapp.dispatch import broker as asked
from agentapp.dispatch import rescuer
from agentapp.dispatch.brokers import choice
from agentapp.dispatch.brokers.base import UNSEEN, Capabilities, Sees, Waiting
from agentapp.lifecycle import republish
from agentapp.local.stack import CHECKOUT
from agentapp.models import Job
from agentapp.services import workflows
from agentapp.services.principals import Principal

URLS = ("redis://h/0", "amqp://h/", "sqs://?region=r", "postgresql://h/d")
DOCS = Path(CHECKOUT) / "docs" / "brokers.md"
WORDS = {True: "yes", False: "no"}


def row(title: str) -> list[str]:
    (line,) = [line for line in DOCS.read_text().splitlines() if line.startswith(f"| {title} |")]
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


def declared() -> list[Capabilities]:
    return [choice.of(url).capabilities for url in URLS]


def test_the_table_of_the_documentation_is_what_they_declare() -> None:
    brokers = declared()

    assert row("Capability") == [each.name for each in brokers]
    assert row("What is seen of a queue") == [each.sees.value for each in brokers]
    assert row("Keeps priorities") == [WORDS[each.keeps_priorities] for each in brokers]
    assert row("Order within a priority") == [each.order for each in brokers]
    assert row("Longest delay that it could hold, in seconds") == [str(each.longest_delay_s) for each in brokers]
    assert row("Tells at once that it has lost its data") == [WORDS[each.tells_of_loss] for each in brokers]
    remote = row("`celery inspect` and `control`, Flower, task events")
    assert remote == [WORDS[each.remote_control] for each in brokers]
    notifies = row("Previews and wakes of streams")
    assert notifies == ["yes" if each.notifies else "with `REDIS_URL`" for each in brokers]


def test_what_is_declared_is_what_a_broker_brings() -> None:
    for url in URLS:
        broker = choice.of(url)
        can = broker.capabilities
        assert ("waiting" in vars(type(broker))) == (can.sees is not Sees.NOTHING)
        assert ("note" in vars(type(broker))) == can.tells_of_loss
        assert bool(can.extra) == bool(can.modules)


@pytest.fixture
def seen(monkeypatch) -> list[Waiting]:
    """What the next looks into a queue show: as on a broker that shows no more than that."""
    answers: list[Waiting] = []
    monkeypatch.setattr(asked, "waiting", lambda queue, priority: answers[0])
    return answers


@pytest.mark.django_db(transaction=True)
def test_what_is_not_seen_is_published_again_by_its_age(
    principal: Principal, broker: redis.Redis, clock, seen: list[Waiting]
) -> None:
    job = Job.objects.get(workflow=workflows.submit(principal, kind="probe_loop", input={}))
    seen[:] = [UNSEEN]
    published = []
    for wait_s in (9, 2, 9, 12):
        clock.advance(wait_s)
        rescuer.publish_again()
        published.append(Job.objects.get(pk=job.pk).publishes)

    assert published == [1, 2, 2, 3]


@pytest.mark.django_db(transaction=True)
def test_an_empty_queue_tells_after_a_second_that_a_message_is_lost(
    principal: Principal, broker: redis.Redis, clock, seen: list[Waiting]
) -> None:
    workflows.submit(principal, kind="probe_loop", input={})
    seen[:] = [Waiting(0)]
    clock.advance(2)

    assert rescuer.publish_again() == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("there", "state"), [(UNSEEN, "available"), (Waiting(0), "dead_lettered")])
def test_only_messages_that_were_taken_make_a_dead_letter(
    principal: Principal, broker: redis.Redis, clock, seen: list[Waiting], there: Waiting, state: str
) -> None:
    """Where they may still wait, workers are away, and nobody may conclude that none knows the job type."""
    job = Job.objects.get(workflow=workflows.submit(principal, kind="probe_loop", input={}))
    seen[:] = [there]
    for _ in range(republish.GIVEN_UP_AFTER + 5):
        clock.advance(republish.LONGEST_BACKOFF_S + 1)
        rescuer.publish_again()

    assert Job.objects.get(pk=job.pk).state == state
