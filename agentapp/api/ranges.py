"""One range of bytes of a file (RFC 9110, section 14). Several ranges at once are answered with the whole."""

from __future__ import annotations

import re
from dataclasses import dataclass

from agentapp.api.problems import Problem
from agentapp.policies import bounds

_ONE = re.compile(r"\s*bytes\s*=\s*([0-9]*)-([0-9]*)\s*", re.IGNORECASE)


@dataclass(frozen=True)
class Range:
    """From byte `start` up to and including byte `last`, of `size`."""

    start: int
    last: int
    size: int

    def __len__(self) -> int:
        return self.last - self.start + 1

    def __str__(self) -> str:
        return f"bytes {self.start}-{self.last}/{self.size}"


def read(header: str, *, size: int) -> Range | None:
    """Return the range that a `Range` header asks for; None for the whole, also where the header is not understood.

    Raises:
        Problem: 416, the file has no such bytes.
    """
    found = _ONE.fullmatch(header)
    if found is None or found[0] == "" or not (found[1] or found[2]):
        return None
    first, last = _number(found[1]), _number(found[2])
    if not found[1]:
        # The last so many bytes.
        start, last = max(size - last, 0), size - 1
    else:
        if found[2] and last < first:
            return None
        start, last = first, min(last, size - 1) if found[2] else size - 1
    if start >= size or not size or last < start:
        raise Problem(
            "range-not-satisfiable",
            f"There are no such bytes: the content has {size:,}. Correct the header `Range`, or leave it out.",
            headers={"Content-Range": f"bytes */{size}"},
        )
    return Range(start, last, size)


def _number(digits: str) -> int:
    # Python refuses to read a number of thousands of digits.
    found = bounds.whole(digits, most=bounds.LARGEST_BIGINT)
    return bounds.LARGEST_BIGINT if found is None else found
