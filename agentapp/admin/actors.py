"""Who did something, as people know them: the key by its name, the person without a prefix."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from agentapp.models import ApiKey
from agentapp.services.principals import KEY, without_prefix


def names(actors: Iterable[str]) -> dict[str, str]:
    """Return what to show for each actor of a history: key:<prefix>, user:<name>, a worker process, or a duty."""
    wanted = set(actors)
    prefixes = [actor.removeprefix(KEY) for actor in wanted if actor.startswith(KEY)]
    keys = {f"{KEY}{key.prefix}": str(key) for key in ApiKey.objects.filter(prefix__in=prefixes)}
    return {actor: keys.get(actor, without_prefix(actor)) for actor in wanted}


def give_names(rows: Iterable[Any]) -> None:
    """Give each row with an actor `who` that is, by one question for all."""
    rows = list(rows)
    who = names(row.actor for row in rows)
    for row in rows:
        row.who = who[row.actor]


def name(actor: str) -> str:
    """What to show for one actor."""
    return names([actor])[actor]
