"""What we publish for a canvas is what Celery publishes for it."""

from __future__ import annotations

import time
from typing import Any

import pytest
from celery.canvas import Signature
from django.db import connection

from agentapp.dispatch import canvas, publisher, waking
from agentapp.ids import uuid7
from agentapp.lifecycle.opened import Link, Opened
from tests.dispatch.message_reader import Letter, MessageReader


def link(type: str, queue: str) -> Link:
    return Link(str(uuid7()), type, queue, 1)


PARTS = tuple(link("probe_part", "retrieval") for _ in range(3))
TAIL = (link("probe_sum", "model"), link("probe_judge", "model"), link("probe_tell", "send"))
SHAPES = {
    "one": Opened(PARTS[:1]),
    "chain": Opened(TAIL[:1], TAIL[1:]),
    "chord": Opened(PARTS, TAIL),
    "group": Opened(PARTS),
}


def essence(letter: Letter) -> dict[str, Any]:
    """All that decides what happens next: the task, where it goes, what it carries along."""

    def part(signature: dict[str, Any] | None) -> Any:
        if signature is None:
            return None
        options = {name: signature["options"].get(name) for name in ("queue", "priority")}
        return signature["task"], list(signature["args"]), signature["immutable"], options

    return {
        "to": (letter.queue, letter.priority, letter.task, letter.args, letter.kwargs),
        "in a group": letter.group is not None and letter.chord is not None,
        "chain": [part(following) for following in letter.chain or ()],
        "chord": part(letter.chord),
    }


@pytest.mark.parametrize("shape", SHAPES)
def test_our_messages_carry_what_those_of_celery_carry(shape: str, message_reader: MessageReader) -> None:
    work = canvas.build(SHAPES[shape])
    assert isinstance(work, Signature)
    publisher.publish_canvas(work)
    ours = message_reader.waiting()
    message_reader._client.flushdb()

    work.apply_async()
    theirs = message_reader.waiting()

    assert [essence(letter) for letter in ours] == [essence(letter) for letter in theirs]
    assert len({letter.group for letter in ours}) == 1


@pytest.mark.django_db(transaction=True)
def test_what_is_held_back_costs_its_thread_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that keeps one after its job would empty the pool for the others."""
    monkeypatch.setattr(waking, "_called_at_s", time.monotonic())
    connection.close()

    assert publisher.publish(Opened(held=1))

    assert connection.connection is None
