"""The client for programs with an event loop."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from datetime import datetime
from types import TracebackType
from typing import Any, BinaryIO, Self, TypeVar, cast

import httpx2

from agentapp.client import calls, contents
from agentapp.client.calls import PAGE, Call, Pause, Request, Response
from agentapp.client.changes import AsyncChanges
from agentapp.client.connections import LIMITS, trusted
from agentapp.client.errors import Unreachable
from agentapp.client.inbox import AsyncInbox
from agentapp.client.memories import AsyncMemories
from agentapp.client.shapes import (
    Approval,
    Artifact,
    BulkCancellation,
    Cancellable,
    Choice,
    Document,
    ForkedTask,
    Job,
    Json,
    Kind,
    Message,
    PastEvent,
    Schedule,
    ScheduleRun,
    State,
    Task,
    WholeKind,
)
from agentapp.client.stream import SILENT_S, Event, Place

T = TypeVar("T")


class AsyncClient(AsyncMemories, AsyncInbox, AsyncChanges):
    """As Client, with methods to await."""

    def __init__(self, url: str, api_key: str, *, timeout_s: float = 30) -> None:
        self._timeout_s = timeout_s
        # A proxy of the environment is for the outside world.
        trust_env = not calls.is_this_machine(url)
        self._http = httpx2.AsyncClient(
            base_url=calls.base(url),
            headers={"Authorization": f"Bearer {api_key}"} if api_key else {},
            timeout=timeout_s,
            limits=LIMITS,
            follow_redirects=False,
            trust_env=trust_env,
            verify=trusted(by_environment=trust_env),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def submit(
        self, kind: str, input: Json, *, priority: str | None = None, labels: dict[str, str] | None = None,
        run_at: datetime | None = None, deadline_s: float | None = None, callback_url: str | None = None,
        idempotency_key: str | None = None,
    ) -> Task:  # fmt: skip
        """Submit a task and return it as it was accepted.

        An answer that is lost is asked for again, and makes no second task; with an `idempotency_key` of your own that
        holds over several runs of your program too.
        """
        return await self._done(calls.submit(
            kind, input, priority=priority, labels=labels, run_at=run_at, deadline_s=deadline_s,
            callback_url=callback_url, idempotency_key=idempotency_key, within_s=self._timeout_s,
        ))  # fmt: skip

    async def get(self, task_id: str) -> Task:
        """Return a task as it is now."""
        return await self._done(calls.get(task_id, within_s=self._timeout_s))

    async def wait(self, task_id: str, *, until: Iterable[State] = (), timeout_s: float | None = None) -> Task:
        """Return a task when it is over, or in one of the states `until`.

        Raises:
            NotInTime: it is not there after `timeout_s` seconds.
        """
        return await self._done(calls.wait(task_id, until=until, timeout_s=timeout_s, within_s=self._timeout_s))

    async def jobs(self, task_id: str) -> list[Job]:
        """Return the jobs of a task in the order of its plan."""
        return await self._done(calls.jobs(task_id, within_s=self._timeout_s))

    async def cancel(self, task_id: str, *, reason: str = "") -> Task:
        """End a task. Raises Refused (409) when it is over already."""
        return await self._done(calls.cancel(task_id, reason=reason, within_s=self._timeout_s))

    async def fork(self, task_id: str, *, from_stage: str, input: Json | None = None) -> ForkedTask:
        """Start a new task from a stage of this one. What was sent is not sent again: `already_sent` lists it."""
        return await self._done(calls.fork(task_id, from_stage=from_stage, input=input, within_s=self._timeout_s))

    async def say(
        self, task_id: str, text: str, *, untrusted: bool = False, idempotency_key: str | None = None
    ) -> Message:
        """Say something to a conversation, once. `task` of the answer is the task that reads it: while this one runs,
        itself. `untrusted`: others wrote it."""
        return await self._done(calls.say(
            task_id, text, untrusted=untrusted, idempotency_key=idempotency_key, within_s=self._timeout_s,
        ))  # fmt: skip

    async def decide(
        self, approval: Approval, decision: Choice, *, content: Json | None = None, reason: str = ""
    ) -> Approval:
        """Decide on what this approval shows. Raises Refused (409) when somebody was faster or the content changed."""
        return await self._done(
            calls.decide(approval, decision, content=content, reason=reason, within_s=self._timeout_s)
        )

    async def read(self, path: str, **query: Any) -> Json:
        """GET any address of the API."""
        return await self._done(calls.read(path, query, within_s=self._timeout_s))

    async def write(self, path: str, body: Json, *, method: str = "POST") -> Json:
        """Send JSON to any address of the API, once."""
        return await self._done(calls.write(path, body, method=method, within_s=self._timeout_s))

    def tasks(self, **filters: Any) -> AsyncIterator[Task]:
        """All tasks, newest first, with the filters of GET /tasks: state, kind, label, created_after, q, ..."""
        return cast("AsyncIterator[Task]", self._pages("tasks", filters))

    def approvals(self, **filters: Any) -> AsyncIterator[Approval]:
        """All approvals, with the filters of GET /approvals: state, task."""
        return cast("AsyncIterator[Approval]", self._pages("approvals", filters))

    def messages(self, task_id: str) -> AsyncIterator[Message]:
        """What was said to the conversation of a task, the oldest first."""
        return cast("AsyncIterator[Message]", self._pages(f"tasks/{task_id}/messages", {}))

    def events(self, task_id: str) -> AsyncIterator[PastEvent]:
        """What has happened to a task, the oldest first. `stream` tells it as it happens."""
        return cast("AsyncIterator[PastEvent]", self._pages(f"tasks/{task_id}/events", {}))

    def artifacts(self, task_id: str) -> AsyncIterator[Artifact]:
        """What the jobs of a task have stored, the oldest first."""
        return cast("AsyncIterator[Artifact]", self._pages(f"tasks/{task_id}/artifacts", {}))

    async def content(self, artifact_id: str, *, start: int = 0, end: int | None = None) -> bytes:
        """Return the content of an artifact, or its bytes from `start` up to `end`."""
        if end is not None and end <= start:
            return b""
        found, _ = await self._done(contents.piece(artifact_id, start=start, end=end, within_s=self._timeout_s))
        return found

    async def download(self, artifact_id: str, file: BinaryIO) -> int:
        """Write the content of an artifact to a file, a mebibyte at a time, and return how many bytes it has."""
        written, size = 0, 1
        while written < size:
            call = contents.piece(
                artifact_id, start=written, end=written + contents.PIECE_BYTES, within_s=self._timeout_s
            )
            found, size = await self._done(call)
            if not found and written < size:
                raise Unreachable("The content of the artifact ends too early.")
            file.write(found)
            written += len(found)
        return written

    async def kinds(self) -> list[Kind]:
        """Return what a task may be."""
        return cast("list[Kind]", (await self.read("kinds"))["results"])

    async def kind(self, name: str) -> WholeKind:
        """Return a kind with the schema of its input and its plan."""
        return cast("WholeKind", await self.read(f"kinds/{name}"))

    async def cancel_all(self, filter: Json, *, reason: str = "") -> BulkCancellation:
        """Begin to cancel the open tasks that fit a filter now (state, kind, label, q, ...): the dispatcher does it,
        and `cancellation` tells how far it has come."""
        return cast("BulkCancellation", await self.write("tasks/cancel", {"filter": filter, "reason": reason}))

    async def count_open(self, filter: Json) -> Cancellable:
        """Count the open tasks of a filter, without cancelling them."""
        return cast("Cancellable", await self.write("tasks/cancel", {"filter": filter, "dry_run": True}))

    async def cancellation(self, cancellation_id: str) -> BulkCancellation:
        """Return a bulk cancellation as it is now."""
        return cast("BulkCancellation", await self.read(f"task-cancellations/{cancellation_id}"))

    def documents(self, **filters: Any) -> AsyncIterator[Document]:
        """The knowledge base, newest first, with the filters of GET /documents."""
        return cast("AsyncIterator[Document]", self._pages("documents", filters))

    async def load_document(self, source: str, text: str, *, title: str, collection: str = "") -> Document:
        """Load a text; the same `source` again replaces it. Without a collection it stays in its own."""
        body = {"source": source, "title": title, "text": text, "collection": collection}
        return cast("Document", await self.write("documents", body))

    async def upload_document(
        self, source: str, data: bytes, *, title: str = "", collection: str = "", media_type: str = ""
    ) -> Document:
        """Send a file; the same `source` again replaces it, once it is read. `wait` for its `task` until it is.

        Without a media type the service looks at the content and at the ending of `source`.
        """
        names = {
            name: value for name, value in (("source", source), ("title", title), ("collection", collection)) if value
        }
        return await self._done(calls.upload(data, names, media_type=media_type, within_s=self._timeout_s))

    async def delete_document(self, document_id: str) -> None:
        """Take a document out of the knowledge base."""
        await self.write(f"documents/{document_id}", {}, method="DELETE")

    def schedules(self) -> AsyncIterator[Schedule]:
        """The schedules, newest first."""
        return cast("AsyncIterator[Schedule]", self._pages("schedules", {}))

    async def make_schedule(self, name: str, kind: str, input: Json, **more: Any) -> Schedule:
        """Let tasks begin by the clock: `cron` or `every_s`, and what else POST /schedules takes."""
        body = {"name": name, "kind": kind, "input": input, **more}
        return cast("Schedule", await self.write("schedules", body))

    async def run_schedule(self, schedule_id: str) -> ScheduleRun:
        """Start a task of a schedule now; `task` in the answer is its id."""
        return await self._done(calls.run_schedule(schedule_id, within_s=self._timeout_s))

    async def stream(self, task_id: str, *, last_event_id: str = "") -> AsyncIterator[Event]:
        """Yield what happens to a task, from the start or from behind an event, until it is over.

        Each event comes once, in order, whatever happens to the connection.

        Raises:
            Refused: the task is not there, or the key may not read it.
            Unreachable: nothing has answered within the time of a call, or for ten minutes after it had.
        """
        place = Place(last_event_id, self._timeout_s)
        while not place.is_over:
            # A line that ends is no error: it goes on over the next one.
            with suppress(httpx2.TransportError):
                async for event in self._connection(task_id, place):
                    yield event
            if not place.is_over:
                await asyncio.sleep(place.pause_s())

    async def _connection(self, task_id: str, place: Place) -> AsyncIterator[Event]:
        timeout = httpx2.Timeout(self._timeout_s, read=SILENT_S)
        async with self._http.sse(f"tasks/{task_id}/stream", headers=place.headers(), timeout=timeout) as source:
            response = source.response
            problem = b"" if response.status_code == 200 else await response.aread()
            if not place.opened(response.status_code, problem):
                return
            async for line in source:
                event = place.came(line.event, line.id, json.loads(line.data or "{}"), line.retry)
                if event is not None:
                    yield event

    async def _pages(self, path: str, filters: dict[str, Any]) -> AsyncIterator[Any]:
        query = {"limit": PAGE} | filters
        while path:
            found, path = await self._done(calls.page(path, query, within_s=self._timeout_s))
            query = {}
            for each in found:
                yield each

    async def _done(self, call: Call[T]) -> T:
        """Carry a call out."""
        try:
            step = next(call)
            while True:
                if isinstance(step, Pause):
                    await asyncio.sleep(step.seconds)
                    step = next(call)
                    continue
                try:
                    answer = await self._sent(step)
                except httpx2.TransportError as error:
                    step = call.throw(Unreachable.at(self._http.base_url, error))
                else:
                    step = call.send(answer)
        except StopIteration as end:
            return cast("T", end.value)

    async def _sent(self, request: Request) -> Response:
        answer = await self._http.request(
            request.method, self._http.base_url.join(request.path), params=list(request.query), json=request.body,
            content=request.content, headers=dict(request.headers),
        )  # fmt: skip
        return Response(answer.status_code, dict(answer.headers), answer.content)
