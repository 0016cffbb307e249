"""Which turns of a long conversation a summary takes the place of. Numbers in, numbers out."""

from __future__ import annotations

from collections.abc import Sequence

# Of the limit: what the newest turns may take that stay as they are, and what a summary must save to be worth a call.
KEPT, SAVED = 0.25, 0.2
# After a summary failed, so many turns go by before the next one is tried.
PAUSE_TURNS = 5


def covered(sizes: Sequence[int], *, already: int, limit: int) -> int:
    """Return how many turns, from the first one, the next summary stands for; 0 where none is worth it.

    `sizes` are the tokens of all turns, of which `already` so many are in a summary. The last turn always stays,
    because the model has not read its results yet, and so do the turns before it, as long as all of them take no more
    than a part of the limit.
    """
    kept, first = 0, len(sizes)
    while first > already and (first == len(sizes) or kept + sizes[first - 1] <= limit * KEPT):
        first -= 1
        kept += sizes[first]
    return first if sum(sizes[already:first]) >= limit * SAVED else 0


def may_try(*, turns_since: int, has_failed: bool) -> bool:
    """Whether a summary may be made so many turns after the one before it: never twice without a turn between them."""
    return turns_since >= (PAUSE_TURNS if has_failed else 1)
