"""The text of a draft while it is written: a preview beside the history."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import redis

from agentapp.dispatch import previews
from agentapp.lifecycle.claim import claim
from agentapp.lifecycle.opened import Claimed
from agentapp.models import Job, Workflow
from agentapp.policies.permissions import WORKER_CLASS_SCOPES
from agentapp.runtime import preview
from agentapp.services import workflows
from agentapp.services.principals import Principal
from tests.api.live import Web
from tests.streams.following import Told, following

pytestmark = pytest.mark.django_db(transaction=True)


def take(task: Workflow) -> Claimed:
    job = Job.objects.get(workflow=task, state="available")
    claimed = claim(str(job.pk), worker="worker", queues=tuple(WORKER_CLASS_SCOPES), lease_s=60)
    assert isinstance(claimed, Claimed)
    return claimed


@pytest.fixture
def job(principal: Principal, broker: redis.Redis) -> Claimed:
    """A job that runs, of a task that has just begun."""
    return take(workflows.submit(principal, kind="probe_fan", input={}))


class Draft:
    """The text of one job as a client puts it together."""

    def __init__(self, events: Iterator[Told]) -> None:
        self._events = events
        self.text = ""

    def read_until(self, text: str) -> Told:
        """Take deltas until they make up this text; return the last of them."""
        while True:
            delta = next(event for event in self._events if event.type == "delta")
            self.text = self.text[: delta.data["offset"]] + delta.data["text"]
            if self.text == text:
                return delta


@contextmanager
def draft(web: Web, token: str, job: Claimed, *, after: int = 0) -> Iterator[Draft]:
    """Follow the task of a job."""
    path = f"/tasks/{job.workflow_id}/stream?last_event_id={after}"
    with following(web.port, path, token=token) as stream:
        yield Draft(iter(stream))


def write(shown: preview.Preview, *pieces: str) -> None:
    for piece in pieces:
        # As if the last piece had come long ago.
        shown._next_s = 0.0
        shown.write(piece)


def test_text_is_told_as_it_is_written(web: Web, token: str, job: Claimed) -> None:
    with draft(web, token, job) as told, preview.of(job) as shown:
        write(shown, "Dear ")
        first = told.read_until("Dear ")
        write(shown, "reader, \N{GRINNING FACE}")
        told.read_until("Dear reader, \N{GRINNING FACE}")
        write(shown, "!")
        last = told.read_until("Dear reader, \N{GRINNING FACE}!")

    named = {"task": str(job.workflow_id), "job": str(job.id), "attempt": 1}
    assert first.data == named | {"offset": 0, "text": "Dear "}
    # Characters, not bytes.
    assert last.data == named | {"offset": 14, "text": "!"}
    # It has no number of its own: it carries that of the event before it.
    assert first.id == "4"


def test_who_comes_later_gets_the_text_so_far(web: Web, token: str, job: Claimed) -> None:
    with preview.of(job) as shown:
        write(shown, "one ", "two ")
        for after in range(5):
            with draft(web, token, job, after=after) as told:
                assert told.read_until("one two ").data["offset"] == 0


def test_pieces_are_put_together(job: Claimed, broker: redis.Redis) -> None:
    channel = broker.pubsub()
    channel.subscribe(previews.CHANNEL)
    with preview.of(job) as shown:
        shown._next_s = 0.0
        for n in range(1_000):
            shown.write(f"{n} ")
            # The rest comes at once: it is told together.
            shown._next_s = float("inf")
        assert text_of(broker, job) == "0 "
    assert text_of(broker, job) == "".join(f"{n} " for n in range(1_000))
    wakes = list(iter(lambda: channel.get_message(timeout=0.5), None))
    assert [message["type"] for message in wakes].count("message") == 2
    channel.close()


def text_of(broker: redis.Redis, job: Claimed) -> str:
    found: Any = broker.get(previews.key(str(job.id), job.attempt))
    return (found or b"").decode()[previews.RUN_CHARACTERS :]


def lose(broker: redis.Redis, job: Claimed) -> None:
    broker.flushall()


def shorten(broker: redis.Redis, job: Claimed) -> None:
    broker.set(previews.key(str(job.id), job.attempt), b"x")


def replace(broker: redis.Redis, job: Claimed) -> None:
    """Another text of the same length."""
    broker.set(previews.key(str(job.id), job.attempt), b"?" * (previews.RUN_CHARACTERS + len("one ")))


@pytest.mark.parametrize("change", [lose, shorten, replace])
def test_a_server_that_lost_the_text_gets_all_of_it_again(
    web: Web, token: str, job: Claimed, broker: redis.Redis, change: Callable[[redis.Redis, Claimed], None]
) -> None:
    with draft(web, token, job) as told, preview.of(job) as shown:
        write(shown, "one ")
        told.read_until("one ")
        change(broker, job)
        write(shown, "two ")
        assert text_of(broker, job) == "one two "
        assert told.read_until("one two ").data["text"] in ("two ", "one two ")


def test_a_second_run_begins_again(web: Web, token: str, job: Claimed) -> None:
    """A run that was handed back has the number of the next one."""
    with draft(web, token, job) as told:
        with preview.of(job) as shown:
            write(shown, "the first try")
            told.read_until("the first try")
        with preview.of(job) as shown:
            write(shown, "the second try, which is longer")
            assert told.read_until("the second try, which is longer").data["offset"] == 0


def test_a_call_that_failed_leaves_nothing(job: Claimed, broker: redis.Redis) -> None:
    with pytest.raises(ValueError, match="the model"), preview.of(job) as shown:
        write(shown, "half a sen")
        raise ValueError("the model has stopped")
    assert not broker.exists(previews.key(str(job.id), job.attempt))


def test_the_text_of_a_job_that_has_ended_is_not_told(web: Web, token: str, job: Claimed, principal: Principal) -> None:
    with preview.of(job) as shown:
        write(shown, "what it wrote")
    workflows.cancel(principal, job.workflow_id, reason="enough")
    with following(web.port, f"/tasks/{job.workflow_id}/stream", token=token) as stream:
        assert "delta" not in {event.type for event in stream}


def test_a_body_does_not_wait_for_a_server_that_is_away(
    job: Claimed, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = preview._server
    connected, calls = server._connected, []

    def counted() -> redis.Redis:
        calls.append(1)
        return connected()

    settings.BROKER_URL = "redis://127.0.0.1:1/0"
    monkeypatch.setattr(server, "_connected", counted)
    with preview.of(job) as shown:
        write(shown, *map(str, range(500)))
    # After the first failure it is left alone for a while.
    assert len(calls) < 10
