"""What the client does when the service is not well: it repeats what is safe, and goes on where a stream ended."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from agentapp.client import AsyncClient, Client, Event, NotInTime, Refused, Texts, Unreachable
from agentapp.client import stream as streams
from tests.client.unwell import Answer, Unwell, unwell

TASK = {"id": "t", "state": "running"}
DONE = {"id": "t", "state": "completed"}
CUT = Answer(cut=True)
AWAY = Answer(503, b'{"title": "away"}', {"Content-Type": "application/problem+json", "Retry-After": "0"})


def says(value: Any, status: int = 200, *, retry_after: str = "", etag: str = "") -> Answer:
    more = {"Retry-After": retry_after} if retry_after else {}
    more |= {"ETag": etag} if etag else {}
    return Answer(status, json.dumps(value).encode(), {"Content-Type": "application/json", **more})


def lines(*events: str) -> Answer:
    return Answer(200, "".join(events).encode(), {"Content-Type": "text/event-stream; charset=utf-8"})


def line(kind: str, data: Any, id: str = "") -> str:
    return f"event: {kind}\n" + (f"id: {id}\n" if id else "") + f"data: {json.dumps(data)}\n\n"


class Waiting:
    """Calls the methods of an AsyncClient as if it were a Client."""

    def __init__(self, url: str, api_key: str, *, timeout_s: float = 30) -> None:
        self._made = (url, api_key, timeout_s)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*args: Any, **more: Any) -> Any:
            return asyncio.run(self._call(name, args, more))

        return call

    async def _call(self, name: str, args: Any, more: Any) -> Any:
        url, key, timeout_s = self._made
        async with AsyncClient(url, key, timeout_s=timeout_s) as client:
            found = getattr(client, name)(*args, **more)
            return [each async for each in found] if hasattr(found, "__aiter__") else await found


@pytest.fixture(params=[Client, Waiting])
def make(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    monkeypatch.setattr(streams, "FIRST_PAUSE_S", 0.0)
    return lambda server, **more: request.param(server.url, "aa_key", **more)


def test_a_submit_whose_answer_is_lost_is_sent_again_under_the_same_name(make: Callable[..., Any]) -> None:
    with unwell(CUT, AWAY, says(TASK, 202)) as server:
        assert make(server).submit("k", {"a": 1}, labels={"x": "y"}) == TASK

    keys = {asked.headers["idempotency-key"] for asked in server.asked}
    assert len(server.asked) == 3 and len(keys) == 1
    assert {asked.body for asked in server.asked} == {server.asked[0].body}
    assert json.loads(server.asked[0].body) == {"kind": "k", "input": {"a": 1}, "labels": {"x": "y"}}


def test_each_submit_has_a_name_of_its_own(make: Callable[..., Any]) -> None:
    with unwell(says(TASK, 202)) as server:
        for _ in range(2):
            make(server).submit("k", {})

    assert len({asked.headers["idempotency-key"] for asked in server.asked}) == 2


def test_what_changes_something_is_sent_once(make: Callable[..., Any]) -> None:
    with unwell(CUT) as server, pytest.raises(Unreachable, match="Nothing answers"):
        make(server).cancel("t")

    assert len(server.asked) == 1


def test_what_was_not_handled_is_sent_again_whatever_it_changes(make: Callable[..., Any]) -> None:
    with unwell(AWAY, says(DONE)) as server:
        assert make(server).cancel("t") == DONE


def test_a_change_is_decided_anew_where_somebody_was_faster(make: Callable[..., Any]) -> None:
    first, second = says({"name": "a"}, etag='"1"'), says({"name": "b"}, etag='W/"2"')
    faster = says({"type": "/problems/precondition-failed", "detail": "It was changed since."}, 412)
    with unwell(first, faster, second, says({"name": "b!"})) as server:
        assert make(server).change("/schedules/s", lambda found: {"name": f"{found['name']}!"}) == {"name": "b!"}

    assert [(asked.method, asked.headers.get("if-match")) for asked in server.asked] == [
        ("GET", None), ("PATCH", '"1"'), ("GET", None), ("PATCH", '"2"'),
    ]  # fmt: skip
    assert [json.loads(asked.body)["name"] for asked in server.asked if asked.body] == ["a!", "b!"]
    with unwell(says(TASK)) as server, pytest.raises(ValueError, match="no ETag"):
        make(server).change("tasks/t", lambda found: found)
    with unwell(first, CUT) as server, pytest.raises(Unreachable):
        make(server).change("schedules/s", lambda found: found)
    assert len(server.asked) == 2


def test_a_service_that_stays_away_is_told(make: Callable[..., Any]) -> None:
    with unwell(AWAY) as server, pytest.raises(Refused) as refused:
        make(server, timeout_s=4).get("t")

    assert (refused.value.status, refused.value.retry_after_s) == (503, 0) and len(server.asked) > 1


def test_a_wait_that_is_longer_than_its_time_is_not_begun(make: Callable[..., Any]) -> None:
    with unwell(says({"title": "full"}, 429, retry_after="3600")) as server, pytest.raises(Refused) as refused:
        make(server).submit("k", {})

    assert refused.value.retry_after_s == 3600 and len(server.asked) == 1


@pytest.mark.parametrize("body", [b"<h1>Hello</h1>", b"", b"[1"])
def test_what_is_not_this_api_is_told(make: Callable[..., Any], body: bytes) -> None:
    with unwell(Answer(200, body)) as server, pytest.raises(Refused, match="is this address agentapp's"):
        make(server).get("t")


def test_a_problem_says_its_kind_and_its_fields(make: Callable[..., Any]) -> None:
    problem = {
        "type": "/problems/invalid-input", "title": "Invalid input", "status": 422, "detail": "Say more.",
        "errors": [{"field": "input", "message": "Say more."}],
    }  # fmt: skip
    with unwell(says(problem, 422)) as server, pytest.raises(Refused, match="Say more") as refused:
        make(server).submit("k", {})

    assert (refused.value.kind, refused.value.errors[0]["field"]) == ("invalid-input", "input")


def test_a_task_is_waited_for_with_what_is_known_of_it(make: Callable[..., Any]) -> None:
    first, same = says(TASK, etag='W/"a"'), Answer(304, b"", {})
    with unwell(first, same, AWAY, same, says(TASK, etag='W/"b"'), says(DONE)) as server:
        assert make(server).wait("t", timeout_s=60) == DONE

    tags = [asked.headers.get("if-none-match") for asked in server.asked]
    assert tags == [None, 'W/"a"', 'W/"a"', 'W/"a"', 'W/"a"', 'W/"b"']
    waits = [asked.path.partition("?wait=")[2] for asked in server.asked]
    assert waits[0] == "0" and set(waits[1:]) == {"15"}


def test_a_task_that_is_not_over_in_time_is_shown_as_it_is(make: Callable[..., Any]) -> None:
    with unwell(says(TASK)) as server, pytest.raises(NotInTime, match="running") as late:
        make(server).wait("t", timeout_s=0)

    assert late.value.task == TASK


def test_pages_are_followed_wherever_the_service_stands(make: Callable[..., Any]) -> None:
    first = says({"results": [1, 2], "next": "/below/tasks?limit=200&cursor=x"})
    with unwell(first, says({"results": [3], "next": None})) as server:
        server.url += "/below"
        found = list(make(server).tasks(state=["running", "pending"], label={"a": "b"}))

    assert found == [1, 2, 3]
    assert server.asked[0].path == "/below/tasks?limit=200&state=running&state=pending&label=a%3Ab"
    assert server.asked[1].path == "/below/tasks?limit=200&cursor=x"


def follow(server: Unwell, make: Callable[..., Any], **more: Any) -> list[Event]:
    return list(make(server).stream("t", **more))


def test_a_stream_goes_on_behind_the_last_event_over_whatever_ends(make: Callable[..., Any]) -> None:
    first = lines("retry: 1\n\n", line("task", {"seq": 1}, "1"), ": ping\n\n", 'event: job\nid: 2\ndata: {"se')
    time_is_up = lines(line("job", {"seq": 2}, "2"), line("end", {"reason": "time"}))
    last = lines(line("done", {"seq": 3}, "3"), line("end", {"reason": "done"}))
    with unwell(first, CUT, AWAY, time_is_up, last) as server:
        found = follow(server, make)

    assert [(event.type, event.id, event.data["seq"]) for event in found] == [
        ("task", "1", 1), ("job", "2", 2), ("done", "3", 3),
    ]  # fmt: skip
    places = [asked.headers.get("last-event-id") for asked in server.asked]
    assert places == [None, "1", "1", "1", "2"]


def test_a_stream_begins_where_it_is_told_to(make: Callable[..., Any]) -> None:
    with unwell(lines(line("end", {"reason": "done"}))) as server:
        assert follow(server, make, last_event_id="7") == []

    assert server.asked[0].headers["last-event-id"] == "7"


def test_a_place_that_is_not_known_any_more_is_forgotten(make: Callable[..., Any]) -> None:
    with unwell(lines(line("reset", {}, "0")), lines(line("end", {"reason": "done"}))) as server:
        assert [event.type for event in follow(server, make, last_event_id="7")] == ["reset"]

    assert server.asked[1].headers.get("last-event-id") is None


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_stream_that_is_refused_is_told(make: Callable[..., Any], status: int) -> None:
    with unwell(says({"detail": "No."}, status)) as server, pytest.raises(Refused, match=r"No\.") as refused:
        follow(server, make)

    assert refused.value.status == status and len(server.asked) == 1


@pytest.mark.parametrize("kind", [Client, Waiting])
def test_without_a_key_the_service_says_what_is_missing(kind: Any) -> None:
    with unwell(says({"detail": "Send a key."}, 401)) as server, pytest.raises(Refused, match=r"Send a key\."):
        kind(server.url, "").get("t")

    assert server.asked[0].headers.get("authorization") is None


def test_texts_are_put_together_of_what_arrives() -> None:
    texts = Texts()
    pieces = [(0, "Hel"), (3, "lo"), (0, "Hello w"), (7, "orld"), (0, "Again")]

    found = [texts.apply(Event("delta", "1", {"job": "j", "offset": offset, "text": text})) for offset, text in pieces]

    assert found == ["Hel", "Hello", "Hello w", "Hello world", "Again"]


def test_a_stream_whose_service_never_answers_is_given_up(make: Callable[..., Any]) -> None:
    with unwell(CUT) as server, pytest.raises(Unreachable, match="Nothing answers"):
        list(make(server, timeout_s=0.3).stream("t"))


def test_what_a_proxy_may_have_passed_on_is_not_sent_again(make: Callable[..., Any]) -> None:
    with unwell(says({"title": "bad gateway"}, 502)) as server, pytest.raises(Refused):
        make(server).cancel("t")

    assert len(server.asked) == 1


@pytest.mark.parametrize("kind", [Client, AsyncClient])
@pytest.mark.parametrize("url", ["agents.example.org", "127.0.0.1:8000", "ftp://x", ""])
def test_an_address_without_its_scheme_is_refused_at_once(kind: type[Client], url: str) -> None:
    with pytest.raises(ValueError, match="scheme"):
        kind(url, "aa_key")
