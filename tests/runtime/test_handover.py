"""Who publishes what follows: Celery by the message's own canvas, or the runtime from the rows. Never both."""

from __future__ import annotations

from collections import Counter
from typing import Any
from uuid import uuid4

import pytest
import redis
from celery import current_app
from pytest_django import Settings

from agentapp.dispatch import publisher
from agentapp.lifecycle import republish
from agentapp.models import History, Job, Workflow
from agentapp.services import workflows
from agentapp.services.principals import Principal
from tests.agents import record
from tests.agents import traced as traced  # registers the kind
from tests.agents import traced_again as traced_again  # registers the kind
from tests.dispatch.message_reader import MessageReader
from tests.harness import be_a_worker

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.acceptance]

UP_TO_THE_CHAIN = ("model", "retrieval", "retrieval", "retrieval", "model")


@pytest.fixture
def run(principal: Principal, message_reader: MessageReader, settings: Settings) -> Workflow:
    """A run whose steps go through the broker one by one, until a test says otherwise."""
    settings.AGENTAPP_IN_PLACE_BUDGET_S = 0
    return workflows.submit(principal, kind="traced", input={})


def job(run: Workflow, type: str) -> Job:
    return Job.objects.get(workflow=run, type=type)


def assert_each_body_ran_once(run: Workflow) -> None:
    run.refresh_from_db()
    assert run.state == "completed"
    expected = Counter(f"{job.type} {job.pk}" for job in Job.objects.filter(workflow=run))
    ran = Counter(record.bodies())
    sent = [entry for entry in ran if entry.startswith("sent ")]
    assert len(sent) == 1
    assert ran == expected + Counter(sent)


def test_celery_publishes_the_next_link_of_a_chain_once(run: Workflow, message_reader: MessageReader) -> None:
    for queue in UP_TO_THE_CHAIN:
        message_reader.deliver(queue)

    assert message_reader.deliver("model") == "completed"
    assert message_reader.tasks() == ["traced_end"]
    message_reader.deliver_all()
    assert_each_body_ran_once(run)


def test_the_part_that_opened_the_join_publishes_the_chords_body_once(
    run: Workflow, message_reader: MessageReader
) -> None:
    message_reader.deliver("model")
    waiting = [message_reader.tasks()]
    for _ in range(3):
        message_reader.deliver("retrieval")
        waiting.append(message_reader.tasks())

    assert waiting == [["traced_part"] * 3, ["traced_part"] * 2, ["traced_part"], ["traced_join"]]


def test_what_ran_in_place_is_left_in_no_queue(
    run: Workflow, message_reader: MessageReader, settings: Settings
) -> None:
    for queue in UP_TO_THE_CHAIN:
        message_reader.deliver(queue)
    (check,) = message_reader.waiting()
    assert check.chain

    settings.AGENTAPP_IN_PLACE_BUDGET_S = 60
    assert message_reader.deliver("model") == "completed, 1 more in place"
    assert message_reader.tasks() == []
    assert_each_body_ran_once(run)


def test_a_body_that_took_longer_than_the_budget_is_followed_through_the_broker(
    run: Workflow, message_reader: MessageReader, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for queue in UP_TO_THE_CHAIN:
        message_reader.deliver(queue)
    settings.AGENTAPP_IN_PLACE_BUDGET_S = 0.05
    monkeypatch.setitem(record.TAKES_S, "traced_check", 0.06)

    assert message_reader.deliver("model") == "completed"
    assert message_reader.tasks() == ["traced_end"]


def test_the_last_part_of_a_fan_out_goes_on_in_place_and_its_chord_is_forgotten(
    run: Workflow, message_reader: MessageReader, settings: Settings
) -> None:
    settings.AGENTAPP_IN_PLACE_BUDGET_S = 60
    assert message_reader.deliver_all() == ["completed"] * 3 + ["completed, 3 more in place"]
    assert_each_body_ran_once(run)


def test_a_step_of_another_worker_class_is_published_not_run_in_place(
    run: Workflow, message_reader: MessageReader, settings: Settings
) -> None:
    settings.AGENTAPP_IN_PLACE_BUDGET_S = 60
    be_a_worker("model", "retrieval")
    for queue in ("model", "retrieval", "retrieval", "retrieval"):
        word = message_reader.deliver(queue)

    assert word == "completed, 2 more in place"
    assert message_reader.tasks() == ["traced_end"]


def test_a_link_that_ran_in_place_is_not_published_though_the_next_is_due_elsewhere(
    run: Workflow, message_reader: MessageReader, broker: redis.Redis, settings: Settings
) -> None:
    for queue in UP_TO_THE_CHAIN[:-1]:
        message_reader.deliver(queue)
    broker.flushdb()
    publisher.publish(republish.again(job(run, "traced_join")))
    (join,) = message_reader.waiting()
    assert [link["task"] for link in join.chain or []] == ["traced_end", "traced_check"]  # the last comes first

    settings.AGENTAPP_IN_PLACE_BUDGET_S = 60
    be_a_worker("model", "retrieval")
    assert message_reader.deliver("model") == "completed, 1 more in place"
    assert [(letter.task, letter.chain) for letter in message_reader.waiting()] == [("traced_end", None)]


@pytest.mark.parametrize("budget_s", [0, 60])
def test_a_canvas_that_the_plan_has_outgrown_is_dropped(
    principal: Principal, message_reader: MessageReader, settings: Settings, budget_s: float
) -> None:
    settings.AGENTAPP_IN_PLACE_BUDGET_S = budget_s
    run = workflows.submit(principal, kind="traced_again", input={})
    published = []
    while letters := message_reader.waiting():
        published += [letter.task for letter in letters]
        message_reader.deliver("model")

    steps = ["traced_draft", "traced_judge", "traced_draft", "traced_judge", "traced_post"]
    assert published == (steps if budget_s == 0 else steps[:1])
    assert [entry.split()[0] for entry in record.bodies()] == steps
    run.refresh_from_db()
    assert run.result == {"posted": 2}


def test_a_photocopied_message_does_nothing_and_its_canvas_is_dropped(
    run: Workflow, message_reader: MessageReader
) -> None:
    published, results = [], []
    while letters := message_reader.waiting():
        published += [letter.task for letter in letters]
        assert message_reader.photocopy() == 2 * len(letters)
        for letter in letters * 2:
            results.append(message_reader.deliver(letter.queue))

    assert Counter(published) == Counter(job.type for job in Job.objects.filter(workflow=run))
    assert results.count("completed") == len(results) == 2 * len(published)
    assert_each_body_ran_once(run)


def test_nobody_elses_messages_change_anything(run: Workflow, message_reader: MessageReader) -> None:
    message_reader.deliver_all()
    done, rows = job(run, "traced_end"), History.objects.count()
    strangers = {"late": str(done.pk), "unknown": str(uuid4()), "no id at all": "'; DROP TABLE agentapp_job; --"}

    for stranger in strangers.values():
        forge("traced_end", stranger, chain=[current_app.signature("traced_begin", (stranger,), queue="model")])
    words = message_reader.deliver_all()

    assert words == ["completed", "unknown", "unknown"]
    assert History.objects.count() == rows
    assert_each_body_ran_once(run)


def test_a_message_in_the_wrong_queue_opens_no_door(run: Workflow, message_reader: MessageReader) -> None:
    be_a_worker("send")
    forge("traced_begin", str(job(run, "traced_begin").pk))

    assert message_reader.deliver("send") == "not of this worker class"
    assert job(run, "traced_begin").state == "available"
    assert record.bodies() == []


def forge(task: str, job_id: str, chain: list[Any] | None = None) -> None:
    """Publish a message that no move has led to."""
    current_app.signature(task, (job_id,), queue="send", chain=chain).apply_async()
