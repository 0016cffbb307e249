"""When keys were stopped, by a person or by their breaker: what waited meanwhile did not wait for a worker."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from agentapp.admin import cells
from agentapp.models import GateChange

# Of the newest changes so many are read: a breaker that opens and closes all day writes many.
MOST = 1_000
_BEGINS = {"paused": "paused", "breaker open": "failed too often"}
# A person who resumes a key closes its breaker too.
_ENDS = {"open": tuple(_BEGINS), "draining": ("paused",), "breaker closed": ("breaker open",)}


@dataclass(frozen=True)
class Stop:
    """A stretch of time in which nothing passed a key; without `until` it goes on."""

    since: datetime
    until: datetime | None
    words: str


def of_keys(keys: Iterable[str], *, names: Mapping[str, str]) -> Mapping[str, Sequence[Stop]]:
    """The stops of these keys, by key; `names` says what a key is called where that is not its own name."""
    changes = GateChange.objects.filter(target__in=set(keys), action__in=(*_BEGINS, *_ENDS)).order_by("-id")[:MOST]
    found: dict[str, list[Stop]] = defaultdict(list)
    begun: dict[tuple[str, str], datetime] = {}
    for at, key, action in reversed(list(changes.values_list("at", "target", "action"))):
        for began in _ENDS.get(action, ()):
            if since := begun.pop((key, began), None):
                found[key].append(Stop(since, at, _words(key, began, names)))
        if action in _BEGINS:
            begun.setdefault((key, action), at)
    for (key, began), since in begun.items():
        found[key].append(Stop(since, None, _words(key, began, names)))
    return found


def _words(key: str, began: str, names: Mapping[str, str]) -> str:
    scope, _, name = key.partition(":")
    return f"{cells.key(scope, names.get(key, name))} {_BEGINS[began]}"
