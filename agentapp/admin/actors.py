"""Who did something, as people know them: the key by its name, the person without a prefix."""

from __future__ import annotations

from collections.abc import Iterable

from agentapp.models import ApiKey

_KEY, _USER = "key:", "user:"


def names(actors: Iterable[str]) -> dict[str, str]:
    """Return what to show for each actor of a history: key:<prefix>, user:<name>, a worker process, or a duty."""
    wanted = set(actors)
    prefixes = [actor.removeprefix(_KEY) for actor in wanted if actor.startswith(_KEY)]
    keys = {f"{_KEY}{key.prefix}": str(key) for key in ApiKey.objects.filter(prefix__in=prefixes)}
    return {actor: keys.get(actor, actor.removeprefix(_USER)) for actor in wanted}
