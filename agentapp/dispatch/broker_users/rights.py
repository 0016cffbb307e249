"""What each class of processes may ask of Redis or Valkey, as the rules of an ACL user. What is not named is refused.

A rule in brackets is a selector, of Redis 7 and Valkey: its commands are allowed on its keys and channels alone. So a
right to put a message into a queue is none to take one out, and one to listen to a channel is none to speak on it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from agentapp import registry
from agentapp.dispatch import previews, teller
from agentapp.dispatch.brokers.redis import PROBE_KEY, SENTINEL
from agentapp.dispatch.optional_redis import LOOKS

# Queues that the jobs of a class often lead to: beside its own, a worker of the class puts messages there itself. What
# it may not put elsewhere, the dispatcher does: into `send` it is the only one beside the web and `send` itself.
LEADS_TO: Mapping[str, tuple[str, ...]] = {
    "model": ("retrieval", "tools"), "retrieval": ("model", "documents"), "documents": ("model", "retrieval"),
    "tools": ("model",), "send": ("model",),
}  # fmt: skip
# Whose bodies show what a model writes.
SHOWS_TEXT = "model:call"

# What redis-py and kombu send on each connection, and transactions; the commands within are checked one by one.
CONNECTS = (
    "+ping", "+hello", "+quit", "+reset", "+select", "+client|setinfo", "+client|setname", "+multi", "+exec",
    "+discard", "+unwatch",
)  # fmt: skip
# Exchanges of Celery.
EVENTS, CONTROL, REPLIES = "celeryev", "celery.pidbox", "reply.celery.pidbox"
_BINDINGS = "_kombu.binding"
# Queues of answers are named after a UUID. A star alone would be the name of their bindings too.
_ANSWERS = f"[0-9a-f]*.{REPLIES}"


@dataclass(frozen=True)
class User:
    """A user for a process of the Procfile; `queues` are the worker classes that it serves."""

    process: str
    name: str
    rules: tuple[str, ...]
    queues: tuple[str, ...] = ()

    def line(self, hashes: Collection[str] = ()) -> str:
        """The user as a line of an ACL file, with the SHA-256 of each of its passwords."""
        return " ".join(["user", self.name, "on", *(f"#{found}" for found in hashes), *self.rules])


def users(prefix: str, workers: Mapping[str, tuple[str, ...]], *, database: int = 0) -> list[User]:
    """Return the users, for workers that serve these classes each. Celery names its channels after the number of the
    `database`, and a user who listens to a pattern must be allowed exactly that one."""
    classes = sorted(registry.worker_classes)
    made = [User("web", f"{prefix}_web", (*BASE, *_web(classes)))]
    made += [User("dispatcher", f"{prefix}_dispatcher", (*BASE, *_dispatcher(classes)))]
    made += [
        User(f"worker_{name}", f"{prefix}_worker_{name}", (*BASE, *_worker(queues, database)), queues)
        for name, queues in workers.items()
    ]
    return [*made, User("flower", f"{prefix}_flower", (*BASE, *_flower(classes, database)))]


# `clearselectors` and the resets before it: what a user had of an earlier release is gone.
BASE = ("resetkeys", "resetchannels", "clearselectors", "-@all", *CONNECTS)


def _web(classes: Collection[str]) -> Iterator[str]:
    yield from _puts(classes)
    yield _may("+set", keys=[f"%W~{PROBE_KEY}"])
    yield _may("+zadd +expire +zrangebyscore", keys=[f"~{LOOKS}*"])
    # EVAL counts as reading and writing; the script reads, and nothing here would let it write.
    yield _may("+eval +getrange", keys=[f"~{previews.KEYS}*"])
    yield _may("+publish", channels=[teller.CHANNEL])
    yield _may("+subscribe +unsubscribe", channels=[teller.CHANNEL, previews.CHANNEL])


def _dispatcher(classes: Collection[str]) -> Iterator[str]:
    yield from _puts(classes)
    yield _may("+lrange", keys=[f"%R~{key}" for key in _lists(classes)])
    yield _may("+get +set", keys=[f"~{SENTINEL}"])
    yield _may("+set", keys=[f"%W~{PROBE_KEY}"])
    yield _may("+publish", channels=[teller.CHANNEL])


def _worker(queues: tuple[str, ...], database: int) -> Iterator[str]:
    yield from _puts(sorted({*queues, *(to for queue in queues for to in LEADS_TO.get(queue, ()))}))
    # What it holds in memory when it ends goes back to where it was taken from.
    yield _may("+blmpop +brpop +rpop +llen +rpush", keys=[f"~{key}" for key in _lists(queues)])
    yield from _answers_remote_control(database)
    yield _may("+publish", channels=[f"/{database}.{EVENTS}/*", teller.CHANNEL])
    if any(SHOWS_TEXT in registry.worker_classes[queue] for queue in queues):
        yield _may(
            "+eval +getrange +strlen +append +set +del +expire +publish",
            keys=[f"~{previews.KEYS}*"], channels=[previews.CHANNEL],
        )  # fmt: skip


def _answers_remote_control(database: int) -> Iterator[str]:
    yield _may("+psubscribe +punsubscribe", channels=[f"/{database}.{CONTROL}"])
    yield _may("+lpush +pexpire", keys=[f"%W~{key}" for key in _lists([_ANSWERS])])
    # The worker's own queue: kombu tells its length when it is declared, keeps it alive, and deletes it at the end.
    yield _may("+llen +pexpire +del", keys=[f"~{key}" for key in _lists([f"*@*.{CONTROL}"])])
    yield from _keeps_bindings()


def _flower(classes: Collection[str], database: int) -> Iterator[str]:
    yield _may("+llen", keys=[f"%R~{key}" for key in _lists(classes)])
    yield _may("+psubscribe +punsubscribe", channels=[f"/{database}.{EVENTS}/*"])
    # To ask workers is to speak to all of them: the rule cannot tell `inspect` from `shutdown`.
    yield _may("+publish", channels=[f"/{database}.{CONTROL}"])
    yield _may(
        "+brpop +blmpop +rpop +llen +del +pexpire +exists",
        keys=[f"~{key}" for key in _lists([_ANSWERS, f"{EVENTS}.*"])],
    )
    yield from _keeps_bindings()


def _puts(queues: Collection[str]) -> Iterator[str]:
    """Put messages into queues, and declare these first: kombu answers to that with their length."""
    yield _may("+lpush", keys=[f"%W~{key}" for key in _lists(queues)])
    yield _may("+llen", keys=[f"%R~{key}" for key in _lists(queues)])
    names = [f"~{_BINDINGS}{kind}.{queue}" for queue in queues for kind in ("", "_permanent")]
    yield _may("+sadd", keys=names)


def _keeps_bindings() -> Iterator[str]:
    """Declare the queues of remote control and events. kombu does it by scripts, of which one removes the bindings of
    whatever is gone. Nobody may make something else of them, on which all workers would stumble when they start."""
    sets = [f"~{_BINDINGS}{kind}.{of}" for of in (EVENTS, CONTROL, REPLIES) for kind in ("", "_permanent")]
    deadlines = f"~{_BINDINGS}_deadlines"
    yield _may("+sadd +srem +smembers +exists +del", keys=sets)
    yield _may("+zadd +zrem +zrangebyscore", keys=[deadlines])
    yield _may("+evalsha", keys=[*sets, deadlines])
    yield _may("+script|load +script|exists +time")


def _lists(queues: Collection[str]) -> Iterator[str]:
    """The lists of queues, one for each priority: behind the name two unprintable characters and a digit."""
    for queue in queues:
        yield queue
        yield f"{queue}[^!-~][^!-~][0-9]"


def _may(commands: str, *, keys: Collection[str] = (), channels: Collection[str] = ()) -> str:
    return f"({' '.join([commands, *keys, *(f'&{channel}' for channel in channels)])})"
