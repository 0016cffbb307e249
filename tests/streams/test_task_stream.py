"""The stream of one task: its history, in order, from any place on."""

from __future__ import annotations

import pytest

from agentapp.models import History, Workflow
from agentapp.services import workflows
from agentapp.services.principals import Principal
from tests import harness
from tests.api.live import Web
from tests.streams import long_histories
from tests.streams.following import following

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def over(principal: Principal) -> Workflow:
    """A task that has ended."""
    return harness.run_workflow(principal, "probe_fan")


def test_a_stream_tells_the_whole_history_in_order_and_ends(web: Web, token: str, over: Workflow) -> None:
    with following(web.port, f"/tasks/{over.pk}/stream", token=token) as stream:
        events = list(stream)

    *told, end = events
    assert [event.seq for event in told] == list(range(1, over.seq + 1))
    assert [event.id for event in told] == [str(event.seq) for event in told]
    states = list(History.objects.filter(workflow=over).order_by("seq").values_list("to_state", flat=True))
    assert [event.data["state"] for event in told] == states
    assert (told[-1].type, told[-1].data["result"]) == ("done", over.result)
    assert (end.type, end.id, end.data) == ("end", None, {"reason": "done"})
    assert stream.retry_ms is not None


def test_a_stream_tells_what_happens_while_it_is_open(web: Web, token: str, principal: Principal) -> None:
    task = workflows.submit(principal, kind="probe_fan", input={})
    with following(web.port, f"/tasks/{task.pk}/stream", token=token) as stream:
        events = iter(stream)
        assert next(events).data["state"] == "pending"
        harness.drain(task)
        told = list(events)

    task.refresh_from_db()
    assert [event.seq for event in told[:-1]] == list(range(2, task.seq + 1))
    assert told[-2].type == "done"


def test_a_client_resumes_behind_every_event(web: Web, token: str, over: Workflow) -> None:
    for seq in range(over.seq + 1):
        with following(web.port, f"/tasks/{over.pk}/stream?last_event_id={seq}", token=token) as stream:
            told = [event.seq for event in stream if event.type != "end"]
        assert told == list(range(seq + 1, over.seq + 1))


def test_the_header_is_newer_than_the_address(web: Web, token: str, over: Workflow) -> None:
    place = {"Last_Event_ID": str(over.seq - 1)}
    with following(web.port, f"/tasks/{over.pk}/stream?last_event_id=1", token=token, **place) as stream:
        assert [event.type for event in stream] == ["done", "end"]


def test_a_client_that_knows_more_than_there_is_begins_again(web: Web, token: str, over: Workflow) -> None:
    with following(web.port, f"/tasks/{over.pk}/stream?last_event_id=9999", token=token) as stream:
        reset, *told, _ = list(stream)

    assert (reset.type, reset.id) == ("reset", "0")
    assert [event.seq for event in told] == list(range(1, over.seq + 1))


def test_a_long_history_comes_in_pages_and_whole(web: Web, token: str, principal: Principal) -> None:
    task = long_histories.make(principal, events=10_050)
    with following(web.port, f"/tasks/{task.pk}/stream?last_event_id=7", token=token) as stream:
        told = stream.take(10_043)
        workflows.cancel(principal, task.pk, reason="enough")
        told += [event for event in stream if event.type != "end"]
    task.refresh_from_db()
    assert [event.seq for event in told] == list(range(8, task.seq + 1))
