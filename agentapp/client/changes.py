"""Changes of what others may change too, for both clients."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Protocol, TypeVar

from agentapp.client import calls
from agentapp.client.calls import Call, Pause, Request
from agentapp.client.shapes import Json

T = TypeVar("T")
Decide = Callable[[Json], Json]
CHANGED = 412


class _Sync(Protocol):
    _timeout_s: float

    def _done(self, call: Call[T]) -> T: ...


class _Async(Protocol):
    _timeout_s: float

    async def _done(self, call: Call[T]) -> T: ...


class Changes:
    """The method of `Client` that undoes nothing of what somebody else has changed."""

    def change(self: _Sync, path: str, decide: Decide) -> Json:
        """Read what is at an address, and PATCH it with the fields that `decide` makes of it.

        Where somebody has changed it in between, it is read again and `decide` is asked once more.
        """
        return self._done(change(path, decide, within_s=self._timeout_s))


class AsyncChanges:
    """The method of `AsyncClient` that undoes nothing of what somebody else has changed."""

    async def change(self: _Async, path: str, decide: Decide) -> Json:
        """Read what is at an address, and PATCH it with the fields that `decide` makes of it.

        Where somebody has changed it in between, it is read again and `decide` is asked once more.
        """
        return await self._done(change(path, decide, within_s=self._timeout_s))


def change(path: str, decide: Decide, *, within_s: float) -> Call[Json]:
    """Raises ValueError where the API shows no tag: nothing says there whether it is still as it was read."""
    ends_s, path = time.monotonic() + within_s, path.lstrip("/")

    def left_s() -> float:
        return max(0.0, ends_s - time.monotonic())

    while True:
        read = yield from calls.answered(Request("GET", path), repeatable=True, within_s=left_s())
        found: Json = calls.understood(read)
        if "etag" not in read.headers:
            raise ValueError(f"{path} has no ETag: use write().")
        # A proxy that packs answers makes a weak tag of it, which would name nothing.
        headers = {"If-Match": read.headers["etag"].removeprefix("W/")}
        request = Request("PATCH", path, body=decide(found), headers=headers)
        # Once: after an answer that was lost it may be changed already.
        written = yield from calls.answered(request, repeatable=False, within_s=left_s())
        if written.status != CHANGED or time.monotonic() > ends_s:
            changed: Json = calls.understood(written)
            return changed
        yield Pause(calls.FIRST_PAUSE_S * random.random())  # noqa: S311 - jitter
