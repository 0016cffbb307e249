"""Who did something, as people know them: the key by its name, the person without a prefix."""

from __future__ import annotations

from collections.abc import Iterable

from agentapp.models import ApiKey
from agentapp.services.principals import KEY, without_prefix


def names(actors: Iterable[str]) -> dict[str, str]:
    """Return what to show for each actor of a history: key:<prefix>, user:<name>, a worker process, or a duty."""
    wanted = set(actors)
    prefixes = [actor.removeprefix(KEY) for actor in wanted if actor.startswith(KEY)]
    keys = {f"{KEY}{key.prefix}": str(key) for key in ApiKey.objects.filter(prefix__in=prefixes)}
    return {actor: keys.get(actor, without_prefix(actor)) for actor in wanted}


def name(actor: str) -> str:
    """The same for one."""
    return names([actor])[actor]
