"""Who looks at which approval now. Notes in the broker's server that last some seconds; without it nobody is shown."""

from __future__ import annotations

from uuid import UUID

from agentapp import clock
from agentapp.dispatch.optional_redis import LOOKS, OptionalRedis
from agentapp.dispatch.redis_client import Redis

# A page tells every few seconds that somebody looks; who was not heard of for so long has gone.
LOOKS_S = 20
ANSWER_S = 0.2
MOST = 10

_server = OptionalRedis(ANSWER_S)


def look(approval_id: UUID, name: str) -> list[str]:
    """Note that this person looks at an approval, and return who else does.

    A server that does not answer is asked again later, and nobody waits for it meanwhile.
    """
    key, now_s = f"{LOOKS}{approval_id}", clock.now().timestamp()

    def noted(server: Redis) -> list[bytes]:
        with server.pipeline(transaction=False) as notes:
            notes.zadd(key, {name: now_s})
            notes.expire(key, LOOKS_S)
            notes.zrangebyscore(key, now_s - LOOKS_S, "+inf", start=0, num=MOST + 1)
            found: list[bytes] = notes.execute()[-1]
        return found

    found = _server.ask(noted) or []
    return [other for each in found if (other := each.decode(errors="replace")) != name][:MOST]
