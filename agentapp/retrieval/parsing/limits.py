"""How much one file may take while it is read."""

from __future__ import annotations

import json
import resource
from dataclasses import asdict, dataclass


class Unreadable(Exception):
    """A file has no text for us. The message is a sentence for the person who sent it."""


@dataclass(frozen=True)
class Limits:
    """Of one file: address space, processor time, time by the clock, pages, bytes of what is packed, characters."""

    memory_mb: int
    cpu_s: int
    wall_s: float
    pages: int
    expanded_bytes: int
    characters: int

    def dump(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def load(cls, text: str) -> Limits:
        return cls(**json.loads(text))

    def enforce(self) -> None:
        """Let the kernel hold this process to its share. A processor second more: Python is to say it itself."""
        _lower(resource.RLIMIT_AS, self.memory_mb * 1024 * 1024)
        _lower(resource.RLIMIT_CPU, self.cpu_s)
        _lower(resource.RLIMIT_CORE, 0)
        # As JSON a character takes six bytes at most, or a pair of surrogates twelve.
        _lower(resource.RLIMIT_FSIZE, self.characters * 6 + 10_000)

    def check_length(self, characters: int) -> None:
        """Raises Unreadable when a text has grown too long."""
        if characters > self.characters:
            raise Unreadable(f"Its text has more than {self.characters:,} characters. Split it into several documents.")


def _lower(kind: int, wanted: int) -> None:
    _, hard = resource.getrlimit(kind)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(kind, (most, hard))
