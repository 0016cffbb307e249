"""What the client asks and how it takes the answers, without saying how they are carried.

A call is a generator: it yields a Request and is sent its Response, or Unreachable is thrown into it; it yields a Pause
and is resumed when that is over. The synchronous and the asynchronous client carry out the same calls.
"""

from __future__ import annotations

import json
import math
import random
import time
import uuid
from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar, cast
from urllib.parse import parse_qsl, urlsplit

from agentapp.client.errors import NotInTime, Refused, Unreachable
from agentapp.client.shapes import (
    OVER,
    Approval,
    Choice,
    Document,
    ForkedTask,
    Job,
    Json,
    Message,
    ScheduleRun,
    State,
    Task,
)

T = TypeVar("T")
Query = Mapping[str, Any]
# The same request may go well in a moment. After the first two it was certainly not handled; who stands between us may
# have passed the others on.
NOT_HANDLED = frozenset({429, 503})
PASSING = NOT_HANDLED | {502, 504}
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 5.0
# For how long the service is asked to wait before it answers; how often it is asked where it does not wait.
LONGEST_WAIT_S = 20
LOOK_S = 0.5
PAGE = 200


@dataclass(frozen=True)
class Request:
    """`path` is below the address of the client; with a slash before it, below its host: so the API names pages.

    `body` is sent as JSON; `content` are bytes, sent as they are.
    """

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    body: Json | None = None
    content: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Response:
    """`headers` have names in small letters."""

    status: int
    headers: Mapping[str, str]
    content: bytes


@dataclass(frozen=True)
class Pause:
    seconds: float


Call = Generator[Request | Pause, Response, T]


def base(url: str) -> str:
    """Return the address below which everything is asked. Raises ValueError."""
    if urlsplit(url).scheme not in ("http", "https"):
        raise ValueError(f"Write the address with its scheme, as in https://agents.example.org; {url!r} has none.")
    return url.rstrip("/") + "/"


def is_this_machine(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return host in ("localhost", "::1") or host.startswith("127.")


def submit(
    kind: str, input: Json, *, idempotency_key: str | None = None, run_at: datetime | None = None, within_s: float,
    **more: Any,
) -> Call[Task]:  # fmt: skip
    """The request has a name of its own, so that it can be sent again after an answer that was lost."""
    body = {"kind": kind, "input": input, **{name: value for name, value in more.items() if value is not None}}
    if run_at is not None:
        body["run_at"] = run_at.isoformat()
    headers = {"Idempotency-Key": idempotency_key or str(uuid.uuid4())}
    answer = yield from ask(Request("POST", "tasks", body=body, headers=headers), repeatable=True, within_s=within_s)
    return cast("Task", answer)


def get(task_id: str, *, within_s: float) -> Call[Task]:
    return cast("Task", (yield from read(f"tasks/{task_id}", within_s=within_s)))


def wait(task_id: str, *, until: Iterable[State], timeout_s: float | None, within_s: float) -> Call[Task]:
    """Look at a task until it is over, or in one of these states."""
    wanted, ends_s = {*OVER, *until}, math.inf if timeout_s is None else time.monotonic() + timeout_s
    known: dict[str, str] = {}
    while True:
        began_s = time.monotonic()
        # With what we know of it the service waits until there is something else. A call has an end of its own.
        wait_s = int(min(LONGEST_WAIT_S, within_s / 2, max(0.0, ends_s - began_s))) if known else 0
        request = Request("GET", f"tasks/{task_id}", (("wait", str(wait_s)),), headers=known)
        response = yield from answered(request, repeatable=True, within_s=within_s)
        if response.status != 304:
            task: Task = understood(response)
            known = {"If-None-Match": tag} if (tag := response.headers.get("etag")) else {}
        if task["state"] in wanted:
            return task
        now_s = time.monotonic()
        if now_s >= ends_s:
            raise NotInTime(cast("Json", task))
        if (response.status == 304 and now_s - began_s < LOOK_S) or not known:
            # It did not wait, for whatever reason.
            yield Pause(min(LOOK_S, ends_s - now_s))


def page(path: str, query: Query, *, within_s: float) -> Call[tuple[list[Any], str]]:
    """A page of a list, and the path of the next one, empty after the last."""
    address = urlsplit(path)
    pairs = (*parse_qsl(address.query), *_pairs(query))
    answer = yield from ask(Request("GET", address.path, pairs), repeatable=True, within_s=within_s)
    return answer["results"], answer["next"] or ""


def cancel(task_id: str, *, reason: str, within_s: float) -> Call[Task]:
    return cast("Task", (yield from write(f"tasks/{task_id}/cancel", {"reason": reason}, within_s=within_s)))


def fork(task_id: str, *, from_stage: str, input: Json | None, within_s: float) -> Call[ForkedTask]:
    body: Json = {"from_stage": from_stage} | ({"input": input} if input is not None else {})
    request = Request("POST", f"tasks/{task_id}/fork", body=body, headers={"Idempotency-Key": str(uuid.uuid4())})
    return cast("ForkedTask", (yield from ask(request, repeatable=True, within_s=within_s)))


def upload(data: bytes, names: Query, *, media_type: str, within_s: float) -> Call[Document]:
    """Send a file. The same one again is no work, so an answer that was lost is asked for again."""
    headers = {"Content-Type": media_type or "application/octet-stream"}
    request = Request("POST", "documents", tuple(_pairs(names)), content=data, headers=headers)
    return cast("Document", (yield from ask(request, repeatable=True, within_s=within_s)))


def run_schedule(schedule_id: str, *, within_s: float) -> Call[ScheduleRun]:
    headers = {"Idempotency-Key": str(uuid.uuid4())}
    request = Request("POST", f"schedules/{schedule_id}/run", body={}, headers=headers)
    return cast("ScheduleRun", (yield from ask(request, repeatable=True, within_s=within_s)))


def say(task_id: str, text: str, *, untrusted: bool, idempotency_key: str | None, within_s: float) -> Call[Message]:
    headers = {"Idempotency-Key": idempotency_key or str(uuid.uuid4())}
    body = {"text": text, "untrusted": untrusted}
    request = Request("POST", f"tasks/{task_id}/messages", body=body, headers=headers)
    return cast("Message", (yield from ask(request, repeatable=True, within_s=within_s)))


def jobs(task_id: str, *, within_s: float) -> Call[list[Job]]:
    found: list[Job] = []
    path = f"tasks/{task_id}/jobs?limit={PAGE}"
    while path:
        some, path = yield from page(path, {}, within_s=within_s)
        found += some
    return found


def decide(
    approval: Approval, decision: Choice, *, content: Json | None, reason: str, within_s: float
) -> Call[Approval]:
    """The decision is on the content that this approval shows; where it has changed since, it is refused (409)."""
    body: Json = {"decision": decision, "content_sha256": approval["content_sha256"], "reason": reason}
    if content is not None:
        body["content"] = content
    answer = yield from write(f"approvals/{approval['id']}/decision", body, within_s=within_s)
    return cast("Approval", answer)


def read(path: str, query: Query | None = None, *, within_s: float) -> Call[Json]:
    """Any GET."""
    request = Request("GET", path.lstrip("/"), tuple(_pairs(query or {})))
    return cast("Json", (yield from ask(request, repeatable=True, within_s=within_s)))


def write(path: str, body: Json, *, method: str = "POST", within_s: float) -> Call[Json]:
    """Any request that changes something. It is sent once: whether a lost answer belonged to a change is not known."""
    request = Request(method, path.lstrip("/"), body=body)
    return cast("Json", (yield from ask(request, repeatable=False, within_s=within_s)))


def ask(request: Request, *, repeatable: bool, within_s: float) -> Call[Any]:
    """Raises Refused, Unreachable."""
    return understood((yield from answered(request, repeatable=repeatable, within_s=within_s)))


def answered(request: Request, *, repeatable: bool, within_s: float) -> Call[Response]:
    """Send a request, again and again for `within_s` seconds where that is safe, until it is answered for good.

    What was certainly not handled (429, 503) is always sent again.
    """
    ends_s, pause_s = time.monotonic() + within_s, FIRST_PAUSE_S
    while True:
        response, lost = yield from _tried(request)
        again = repeatable if response is None else response.status in (PASSING if repeatable else NOT_HANDLED)
        asked_s = _seconds(response.headers.get("retry-after")) if response else None
        wait_s = max(asked_s or 0.0, pause_s * (0.5 + random.random()))  # noqa: S311 - jitter
        if not again or time.monotonic() + wait_s > ends_s:
            if response is None:
                raise lost or Unreachable("Nothing answers.")
            return response
        yield Pause(wait_s)
        pause_s = min(LONGEST_PAUSE_S, pause_s * 2)


def _tried(request: Request) -> Call[tuple[Response | None, Unreachable | None]]:
    try:
        return (yield request), None
    except Unreachable as error:
        return None, error


def understood(response: Response) -> Any:
    """Return the JSON of an answer. Raises Refused for a problem, and for what is no answer of this API."""
    if response.status == 204:
        return {}
    try:
        answer = json.loads(response.content)
    except ValueError:
        answer = {"detail": f"The answer {response.status} is not JSON; is this address agentapp's?"}
        raise Refused({"status": max(response.status, 400), **answer}) from None
    if response.status >= 400:
        problem = answer if isinstance(answer, dict) else {"detail": str(answer)}
        retry_after_s = _seconds(response.headers.get("retry-after"))
        raise Refused({**problem, "status": response.status}, retry_after_s=retry_after_s)
    return answer


def _pairs(query: Query) -> list[tuple[str, str]]:
    """Parameters as text; a list is given once for each of its values, None not at all."""
    pairs: list[tuple[str, str]] = []
    for name, value in query.items():
        if isinstance(value, Mapping):
            pairs += [(name, f"{key}:{each}") for key, each in value.items()]
        elif isinstance(value, list | tuple):
            pairs += [(name, _text(each)) for each in value]
        elif value is not None:
            pairs.append((name, _text(value)))
    return pairs


def _text(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _seconds(text: str | None) -> float | None:
    """Read Retry-After as this API writes it."""
    return float(text) if text and text.isascii() and text.isdigit() else None
