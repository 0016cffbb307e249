"""Who looks at which approval now. Notes in the broker's server that last some seconds; without it nobody is shown."""

from __future__ import annotations

import os
import threading
from uuid import UUID

from django.conf import settings

from agentapp import clock
from agentapp.dispatch import redis_client
from agentapp.dispatch.circuit import Circuit
from agentapp.policies import faults
from agentapp.policies.faults import Fault

# A page tells every few seconds that somebody looks; who was not heard of for so long has gone.
LOOKS_S = 20
ANSWER_S = 0.2
MOST = 10


class _Server:
    """This process's way to the notes."""

    def __init__(self) -> None:
        self.circuit = Circuit()
        self._lock = threading.Lock()
        self._client: redis_client.Redis | None = None
        self._made_in = 0

    def connected(self) -> redis_client.Redis:
        with self._lock:
            if self._client is None or self._made_in != os.getpid():
                self._client = redis_client.connect_once(settings.BROKER_URL, timeout_s=ANSWER_S)
                self._made_in = os.getpid()
            return self._client


_server = _Server()


def look(approval_id: UUID, name: str) -> list[str]:
    """Note that this person looks at an approval, and return who else does.

    A server that does not answer is asked again later, and nobody waits for it meanwhile.
    """
    if not redis_client.speaks_redis(settings.BROKER_URL) or not _server.circuit.may_call():
        return []
    key, now_s = f"agentapp:looks:{approval_id}", clock.now().timestamp()
    with faults.caught(Fault.OUTAGE, Fault.LIMIT), redis_client.dispensable():
        with _server.connected().pipeline(transaction=False) as notes:
            notes.zadd(key, {name: now_s})
            notes.expire(key, LOOKS_S)
            notes.zrangebyscore(key, now_s - LOOKS_S, "+inf", start=0, num=MOST + 1)
            found = notes.execute()[-1]
        _server.circuit.succeeded()
        return [other for each in found if (other := each.decode(errors="replace")) != name][:MOST]
    _server.circuit.failed()
    return []
