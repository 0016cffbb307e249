"""How many connections to Postgres processes may hold, and whether there is room for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

# Beside those of its jobs: the heartbeat, and one to hand jobs back when it ends.
OF_A_WORKER = 2
# A child holds one for its job and one for its heartbeat; the parent one while it ends what a child has left.
OF_A_CHILD, OF_A_PARENT = 2, 1
# Threads of the web that answer requests and probes.
WEB_THREADS = 66
# One for each duty of the leader, and two to lead and to be woken. One that waits holds one.
DISPATCHER, WAITING_DISPATCHER = 16, 1
FLOWER = 1
# One of each process of the Procfile, and a second dispatcher.
STANDARD: Mapping[str, int] = MappingProxyType({
    "web": 10, "dispatcher": DISPATCHER, "second dispatcher": WAITING_DISPATCHER, "worker_model": 10 + OF_A_WORKER,
    "worker_send": 4 + OF_A_WORKER, "worker_webhooks": 4 + OF_A_WORKER,
    "worker_documents": 2 * OF_A_CHILD + OF_A_PARENT, "flower": FLOWER,
})  # fmt: skip

# What libpq says where a connection is not made because TLS does not prove who answers. It gives no code for it.
_UNTRUSTED = (
    "certificate verify failed", "does not match host name", "server does not support SSL", "root certificate file",
)  # fmt: skip


@dataclass(frozen=True)
class Room:
    """Of one server, for one role and database: how many connections there may be, and how many there are."""

    most: int
    used: int

    @property
    def free(self) -> int:
        return max(0, self.most - self.used)


def of_web(pool_max: int) -> int:
    return pool_max or WEB_THREADS


def of_worker(slots: int, *, pool_max: int, prefork: bool) -> int:
    """`slots`: bodies that run at once; `pool_max`: connections that they share, 0 where each has its own."""
    if prefork:
        return slots * OF_A_CHILD + OF_A_PARENT
    return min(slots, pool_max or slots) + OF_A_WORKER


def untrusted(error: str) -> str:
    """Say what to look at where libpq refuses a server by `sslmode`; empty where it failed for another reason."""
    if not any(words in error for words in _UNTRUSTED):
        return ""
    return (
        f"The server of DATABASE_URL is not the one that sslmode asks for: {' '.join(error.split())}. Look at sslmode "
        "and sslrootcert in DATABASE_URL, and at the name and the authority in the server's certificate."
    )


def problem(asked: int, room: Room, *, process: str) -> str:
    """Say what to change where a process that starts asks for more than there is; empty where all is well."""
    if asked <= room.free:
        return ""
    lower = "" if process == "dispatcher" else ", or lower AGENTAPP_DB_POOL_MAX of this process"
    return (
        f"This {process} process may hold {asked} connections to Postgres, and {room.free} of {room.most} are free. "
        f"Raise max_connections (or the limit of the role or database){lower}, or put PgBouncer in between."
    )


def standard_problem(room: Room) -> str:
    """The same for one of each process, before any of them starts."""
    asked = sum(STANDARD.values())
    if asked <= room.most:
        return ""
    return (
        f"One of each process may hold {asked} connections to Postgres, which allows {room.most}. Raise "
        "max_connections (or the limit of the role or database), lower AGENTAPP_DB_POOL_MAX, or put PgBouncer in "
        "between."
    )
