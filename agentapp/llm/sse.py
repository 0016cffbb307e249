"""Server-sent events out of the bytes of an answer, as providers write them rather than as they should."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from agentapp.errors import TransientError

LONGEST_LINE_BYTES = 8 * 1024 * 1024
LONGEST_STRAY_BYTES = 8 * 1024 * 1024
_LINE_END = re.compile(rb"\r\n|\n|\r")


@dataclass(frozen=True)
class Event:
    """`lines` are its data. An event named `stray` has whatever stood there that is no event, such as a web page."""

    name: str
    lines: tuple[bytes, ...]

    @property
    def data(self) -> bytes:
        return b"\n".join(self.lines)


def events(chunks: Iterable[bytes]) -> Iterator[Event]:
    """Yield the events of a stream as they are complete; what stands outside of them comes last, as one `stray`."""
    name, stray_bytes = "", 0
    data: list[bytes] = []
    stray: list[bytes] = []
    for number, line in enumerate(_lines(chunks)):
        if not number:
            line = line.removeprefix(codecs.BOM_UTF8)
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if not line:
            if data or name == "error":
                yield Event(name, tuple(data))
            name, data = "", []
        elif field == b"data":
            data.append(value)
        elif field == b"event":
            name = value.decode("utf-8", "replace")
        elif field not in (b"", b"id", b"retry") and stray_bytes < LONGEST_STRAY_BYTES:
            stray.append(line)
            stray_bytes += len(line)
    if data:
        # Some servers leave the last blank line out.
        yield Event(name, tuple(data))
    if stray:
        yield Event("stray", tuple(stray))


def _lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Cut at CR LF, LF and CR, each as soon as it is there: what follows a CR may not come before somebody reads it."""
    pending: list[bytes] = []
    pending_bytes = 0
    ended_with_cr = False
    for chunk in chunks:
        if ended_with_cr:
            # The second half of a CR LF, or a line of its own.
            chunk = chunk.removeprefix(b"\n")
        ended_with_cr = chunk.endswith(b"\r")
        first, *others = _LINE_END.split(chunk)
        pending.append(first)
        pending_bytes += len(first)
        if others:
            yield b"".join(pending)
            yield from others[:-1]
            pending, pending_bytes = others[-1:], len(others[-1])
        if pending_bytes > LONGEST_LINE_BYTES:
            raise TransientError(f"the model provider sent a line of more than {LONGEST_LINE_BYTES} bytes")
    if pending_bytes:
        yield b"".join(pending)
