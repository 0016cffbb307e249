"""What we publish for a canvas is what Celery publishes for it."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from celery import chain, chord, current_app, group
from celery.canvas import Signature
from celery.utils.nodenames import anon_nodename
from django.db import connection

from agentapp.dispatch import publisher, waking
from agentapp.ids import uuid7
from agentapp.lifecycle.opened import Link, Opened
from agentapp.policies import priority
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


# What is different for each message. A worker knows the time limits of its tasks: ours do not repeat them.
OF_ITS_OWN = {"id", "root_id", "parent_id", "group", "group_index", "origin", "ignore_result", "timelimit"}


def canvas_of(opened: Opened) -> Signature:
    """The same jobs as Celery's own objects."""
    jobs, tail = [[_signature(link) for link in links] for links in (opened.jobs, opened.tail)]
    if len(jobs) == 1:
        return chain(*jobs, *tail) if tail else jobs[0]
    return chord(group(jobs), body=tail[0]) if tail else group(jobs)


def _signature(link: Link) -> Signature:
    step = priority.to_broker(link.priority)
    return current_app.signature(link.type, args=(link.id,), immutable=True, queue=link.queue, priority=step)


def essence(letter: Letter) -> dict[str, Any]:
    """All that decides what happens next: the task, where it goes, what it carries along."""

    def part(signature: dict[str, Any] | None) -> Any:
        if signature is None:
            return None
        options = {name: signature["options"].get(name) for name in ("queue", "priority")}
        named = {name: signature[name] for name in ("task", "args", "kwargs", "subtask_type", "immutable")}
        return named | {"args": list(signature["args"]), "options": options}

    envelope = json.loads(letter.raw)
    # A group without a body is gathered by nobody.
    place = envelope["headers"]["group_index"] if letter.chord else None
    return {
        "to": (letter.queue, letter.priority, letter.task, letter.args, letter.kwargs),
        "in a group": (letter.group is not None and letter.chord is not None, place),
        "chain": [part(following) for following in letter.chain or ()],
        "chord": part(letter.chord),
        "headers": {name: value for name, value in envelope["headers"].items() if name not in OF_ITS_OWN},
        "names": (sorted(envelope), sorted(envelope["headers"]), sorted(json.loads(envelope["body"])[2])),
        "forms": (envelope["content-type"], envelope["content-encoding"]),
        "properties": {
            name: value
            for name, value in envelope["properties"].items()
            if name not in {"correlation_id", "delivery_tag", "reply_to"}
        },
    }


@pytest.mark.parametrize("shape", SHAPES)
def test_our_messages_carry_what_those_of_celery_carry(shape: str, message_reader: MessageReader) -> None:
    publisher.publish(SHAPES[shape])
    ours = message_reader.waiting()
    message_reader._client.flushdb()

    canvas_of(SHAPES[shape]).apply_async()
    theirs = message_reader.waiting()

    assert [essence(letter) for letter in ours] == [essence(letter) for letter in theirs]
    assert len({letter.group for letter in ours}) == 1


def test_each_message_names_its_own_task_and_process(message_reader: MessageReader) -> None:
    publisher.publish(SHAPES["chord"])

    found = [json.loads(letter.raw) for letter in message_reader.waiting()]
    ids = [envelope["headers"]["id"] for envelope in found]
    assert len(set(ids)) == len(PARTS)
    assert [envelope["headers"]["root_id"] for envelope in found] == ids
    assert [envelope["properties"]["correlation_id"] for envelope in found] == ids
    assert {envelope["headers"]["origin"] for envelope in found} == {anon_nodename()}


@pytest.mark.django_db(transaction=True)
def test_what_is_held_back_costs_its_thread_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that keeps one after its job would empty the pool for the others."""
    monkeypatch.setattr(waking, "_called_at_s", time.monotonic())
    connection.close()

    assert publisher.publish(Opened(held=1))

    assert connection.connection is None
