"""Who looks after which approval, for both clients."""

from __future__ import annotations

from typing import Protocol, cast

from agentapp.client.shapes import Approval, Json


class _Sync(Protocol):
    def write(self, path: str, body: Json, *, method: str = "POST") -> Json: ...


class _Async(Protocol):
    async def write(self, path: str, body: Json, *, method: str = "POST") -> Json: ...


class Inbox:
    """The methods of `Client` about approvals that decide nothing. Refused (409): it is decided."""

    def claim(self: _Sync, approval_id: str, *, take_over: bool = False, person: str | None = None) -> Approval:
        """Say that this key looks after an approval, or a `person`, by name; others may still decide on it."""
        return cast("Approval", self.write(f"approvals/{approval_id}/claim", _claim(take_over, person)))

    def release(self: _Sync, approval_id: str) -> Approval:
        """Let others look after it."""
        return cast("Approval", self.write(f"approvals/{approval_id}/release", {}))

    def snooze(self: _Sync, approval_id: str, *, until: str | None) -> Approval:
        """Hide it from lists until a moment, such as 2030-01-31T08:00:00Z; None: no longer."""
        return cast("Approval", self.write(f"approvals/{approval_id}/snooze", {"until": until}))

    def withdraw(self: _Sync, approval_id: str, *, reason: str = "") -> Approval:
        """Take an approval back of which nothing was sent; return the one that asks now."""
        return cast("Approval", self.write(f"approvals/{approval_id}/withdraw", {"reason": reason}))


class AsyncInbox:
    """The methods of `AsyncClient` about approvals that decide nothing. Refused (409): it is decided."""

    async def claim(self: _Async, approval_id: str, *, take_over: bool = False, person: str | None = None) -> Approval:
        """Say that this key looks after an approval, or a `person`, by name; others may still decide on it."""
        return cast("Approval", await self.write(f"approvals/{approval_id}/claim", _claim(take_over, person)))

    async def release(self: _Async, approval_id: str) -> Approval:
        """Let others look after it."""
        return cast("Approval", await self.write(f"approvals/{approval_id}/release", {}))

    async def snooze(self: _Async, approval_id: str, *, until: str | None) -> Approval:
        """Hide it from lists until a moment, such as 2030-01-31T08:00:00Z; None: no longer."""
        return cast("Approval", await self.write(f"approvals/{approval_id}/snooze", {"until": until}))

    async def withdraw(self: _Async, approval_id: str, *, reason: str = "") -> Approval:
        """Take an approval back of which nothing was sent; return the one that asks now."""
        return cast("Approval", await self.write(f"approvals/{approval_id}/withdraw", {"reason": reason}))


def _claim(take_over: bool, person: str | None) -> Json:
    return {"take_over": take_over} | ({"person": person} if person is not None else {})
