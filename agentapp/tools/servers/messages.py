"""JSON-RPC as MCP servers answer it over HTTP: one message, or a stream of events in which it comes."""

from __future__ import annotations

import json
from typing import Any

from agentapp.policies import storable

Json = dict[str, Any]
LONGEST_TEXT = 100_000
_ENDS = (b"\n\n", b"\r\n\r\n", b"\r\r")


class Awaited:
    """The answer to the request of one id, found in whatever a server sends."""

    def __init__(self, id: int) -> None:
        self._id = id
        self._read_to = 0
        self.found: Json | None = None

    def is_in(self, stream: bytes) -> bool:
        """Read the events that have come since the last time; tell whether one is the answer."""
        while self.found is None:
            ends = [(at, len(end)) for end in _ENDS if (at := stream.find(end, self._read_to)) >= 0]
            if not ends:
                return False
            at, length = min(ends)
            self._take_event(stream[self._read_to : at])
            self._read_to = at + length
        return True

    def take_rest(self, stream: bytes) -> None:
        """Read what stands behind the last whole event: some end without an empty line."""
        if not self.is_in(stream):
            self._take_event(stream[self._read_to :])

    def take(self, text: bytes) -> None:
        """Read one message, or several in a list."""
        try:
            read = json.loads(text)
        except (ValueError, RecursionError):
            return
        for one in read if isinstance(read, list) else [read]:
            if isinstance(one, dict) and one.get("id") == self._id and ("result" in one or "error" in one):
                self.found = one

    def _take_event(self, event: bytes) -> None:
        lines = event.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        data = [line[5:].removeprefix(b" ") for line in lines if line.startswith(b"data:")]
        if data:
            self.take(b"\n".join(data))


def text_of(result: Json) -> str:
    """Return what a result of a tool says, as text."""
    content = result.get("content")
    texts = [_text_of(item) for item in content if isinstance(item, dict)] if isinstance(content, list) else []
    if not any(texts) and isinstance(result.get("structuredContent"), dict):
        texts = [json.dumps(result["structuredContent"], ensure_ascii=False)]
    return storable.text("\n\n".join(filter(None, texts)), most=LONGEST_TEXT)


def words(error: Any) -> str:
    """Return what a server says of an error, short."""
    said = error.get("message") if isinstance(error, dict) else None
    return storable.text(said, most=500) if isinstance(said, str) and said else "no reason"


def _text_of(item: Json) -> str:
    inner = item.get("resource")
    said = item.get("text", inner.get("text") if isinstance(inner, dict) else None)
    if isinstance(said, str):
        return said
    kind, link = item.get("type"), item.get("uri")
    shown = f" ({storable.text(link, most=500)})" if isinstance(link, str) else ""
    return f"[{storable.text(kind, most=30) if isinstance(kind, str) else 'something'}{shown}, which is not shown]"
