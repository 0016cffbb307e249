"""A person tells the client of a dead letter's task what happened: once, in history, task and webhooks. [F3]"""

from __future__ import annotations

import pytest

from agentapp.errors import IllegalMove, InvalidInput, NotFound
from agentapp.lifecycle import notices
from agentapp.models import History, Job, Tenant, WebhookEvent, Workflow
from agentapp.services import dead_letters
from agentapp.services.principals import Principal
from agentapp.states import Origin
from agentapp.streams import events
from tests.harness import drain
from tests.lifecycle import dead_letter_kinds
from tests.lifecycle.letters import fail_at
from tests.lifecycle.letters import world as world

pytestmark = pytest.mark.django_db
SAID = "A part of it failed. We look into it."


@pytest.fixture
def letter(principal: Principal) -> Job:
    task, job = fail_at(principal, "letter_read", text="a")
    Workflow.objects.filter(pk=task.pk).update(callback_url="https://client.test/hook")
    return job


def told(letter: Job) -> list[str]:
    task = Workflow.objects.get(pk=letter.workflow_id)
    return [each["text"] for each in task.notices or ()]


def test_a_notice_is_told_once(principal: Principal, letter: Job) -> None:
    before = Workflow.objects.get(pk=letter.workflow_id)
    task = dead_letters.notify(principal, letter.pk, text=f" {SAID}\n")
    again = dead_letters.notify(principal, letter.pk, text=SAID)

    assert task.notices is not None
    (notice,) = task.notices
    assert (notice["text"], notice["job"], notice["by"]) == (SAID, str(letter.pk), principal.actor)
    assert (task.state, task.seq) == (before.state, before.seq + 1)
    assert (again.seq, again.notices) == (task.seq, task.notices)
    row = History.objects.get(workflow=task, seq=task.seq)
    assert (row.actor, row.reason, row.from_state, row.to_state) == (principal.actor, SAID, task.state, task.state)
    event = WebhookEvent.objects.get(workflow_id=task.pk, type="task.notice")
    assert (event.seq, event.spread_at) == (task.seq, None)


def test_a_stream_tells_a_notice_and_the_release_before_a_task_as_it_was(principal: Principal, letter: Job) -> None:
    task = dead_letters.notify(principal, letter.pk, text=SAID)
    row = History.objects.get(workflow=task, seq=task.seq)
    read = {
        "seq": row.seq, "at": row.at.isoformat(), "noun": row.noun, "from": row.from_state, "to": row.to_state,
        "reason": row.reason, "data": row.data,
    }  # fmt: skip

    event = events.of_history(str(task.pk), read)

    assert event.type == "notice" and f'"text":"{SAID}","job":"{letter.pk}"' in event.data
    # The release before does not know the mark: to it this is a change to the same state.
    assert events.of_history(str(task.pk), read | {"data": None}).type == "task"


def test_the_same_words_about_the_next_failure_are_told_again(principal: Principal, letter: Job) -> None:
    dead_letters.notify(principal, letter.pk, text=SAID)
    dead_letter_kinds.broken.add("letter_read")
    dead_letters.replay(principal, letter.pk)
    with pytest.raises(NotFound):
        dead_letters.notify(principal, letter.pk, text=SAID)
    drain()
    dead_letters.notify(principal, letter.pk, text=SAID)

    assert told(letter) == [SAID, SAID]


def test_what_cannot_be_told_is_refused(principal: Principal, letter: Job, other_principal: Principal) -> None:
    for text in ("", " \n", "a" * (dead_letters.LONGEST_NOTICE + 1), "a\x00b"):
        with pytest.raises(InvalidInput):
            dead_letters.notify(principal, letter.pk, text=text)
    with pytest.raises(NotFound):
        dead_letters.notify(other_principal, letter.pk, text=SAID)
    Workflow.objects.filter(pk=letter.workflow_id).update(origin=Origin.DOCUMENT)
    with pytest.raises(IllegalMove, match="nobody to notify"):
        dead_letters.notify(principal, letter.pk, text=SAID)

    assert told(letter) == []


def test_a_task_has_so_many_notices_at_most(principal: Principal, letter: Job) -> None:
    for number in range(notices.MOST):
        dead_letters.notify(principal, letter.pk, text=f"{number}")
    dead_letters.notify(principal, letter.pk, text="0")
    with pytest.raises(IllegalMove, match="20 times"):
        dead_letters.notify(principal, letter.pk, text="one more")

    assert len(told(letter)) == notices.MOST


def test_a_letter_of_a_part_is_told_to_the_client_of_the_whole(principal: Principal, letter: Job) -> None:
    whole, _ = fail_at(principal, "letter_read", text="b")
    Workflow.objects.filter(pk=letter.workflow_id).update(origin=Origin.CHILD, parent=whole.pk)

    assert dead_letters.notify(principal, letter.pk, text=SAID).pk == whole.pk
    assert told(letter) == []


def test_a_letter_of_another_tenant_is_none_of_a_task(principal: Principal, letter: Job, other_tenant: Tenant) -> None:
    """The move asks for itself."""
    Job.objects.filter(pk=letter.pk).update(tenant=other_tenant)
    with pytest.raises(IllegalMove, match="no dead letter"):
        notices.notify(letter.workflow, letter, text=SAID, actor="user:kim")
