"""What is remembered of customers, for both clients."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any, Protocol, cast

from agentapp.client.shapes import Json, Memory


class _Sync(Protocol):
    def write(self, path: str, body: Json, *, method: str = "POST") -> Json: ...

    def _pages(self, path: str, filters: dict[str, Any]) -> Iterator[Any]: ...


class _Async(Protocol):
    async def write(self, path: str, body: Json, *, method: str = "POST") -> Json: ...

    def _pages(self, path: str, filters: dict[str, Any]) -> AsyncIterator[Any]: ...


class Memories:
    """The methods of `Client` about /memories."""

    def memories(self: _Sync, **filters: Any) -> Iterator[Memory]:
        """What is remembered, newest first, with the filters of GET /memories: about, superseded."""
        return cast("Iterator[Memory]", self._pages("memories", filters))

    def remember(self: _Sync, about: str, text: str) -> Memory:
        """Keep a fact about a customer; the same fact again is the one that is kept already."""
        return cast("Memory", self.write("memories", {"about": about, "text": text}))

    def correct_memory(self: _Sync, memory_id: str, text: str) -> Memory:
        """Let another text hold; return the new version."""
        return cast("Memory", self.write(f"memories/{memory_id}", {"text": text}, method="PATCH"))

    def erase_memory(self: _Sync, memory_id: str) -> None:
        """Erase a fact with all its versions."""
        self.write(f"memories/{memory_id}", {}, method="DELETE")

    def erase_memories(self: _Sync, about: str) -> int:
        """Erase all that is remembered of a customer; return how many facts that were."""
        return int(self.write("memories/erase", {"about": about})["facts"])


class AsyncMemories:
    """The methods of `AsyncClient` about /memories."""

    def memories(self: _Async, **filters: Any) -> AsyncIterator[Memory]:
        """What is remembered, newest first, with the filters of GET /memories: about, superseded."""
        return cast("AsyncIterator[Memory]", self._pages("memories", filters))

    async def remember(self: _Async, about: str, text: str) -> Memory:
        """Keep a fact about a customer; the same fact again is the one that is kept already."""
        return cast("Memory", await self.write("memories", {"about": about, "text": text}))

    async def correct_memory(self: _Async, memory_id: str, text: str) -> Memory:
        """Let another text hold; return the new version."""
        return cast("Memory", await self.write(f"memories/{memory_id}", {"text": text}, method="PATCH"))

    async def erase_memory(self: _Async, memory_id: str) -> None:
        """Erase a fact with all its versions."""
        await self.write(f"memories/{memory_id}", {}, method="DELETE")

    async def erase_memories(self: _Async, about: str) -> int:
        """Erase all that is remembered of a customer; return how many facts that were."""
        return int((await self.write("memories/erase", {"about": about}))["facts"])
