"""What each class of processes may do in RabbitMQ, and the definitions file that makes a user for each.

A user has three expressions for the names of queues and exchanges: what it may configure (declare and delete), write
(put messages into) and read (take them from). RabbitMQ asks for them so:

- who publishes must write the exchange; our queues have one each, so a right to put messages into one queue is none
  for another, and none to take them out;
- who binds a queue to an exchange must write the queue and read the exchange;
- who takes messages, or throws them away, must read the queue.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from agentapp import registry
from agentapp.dispatch.broker_users.rights import CONTROL, EVENTS, LEADS_TO, REPLIES
from agentapp.dispatch.brokers.base import PROBE
from agentapp.dispatch.brokers.rabbitmq import exchange_name

# Flower's own queues, of answers and of events, are named after a UUID.
_UUID = "[0-9a-f-]+"
_SALT_BYTES = 4


@dataclass(frozen=True)
class User:
    """A user for a process of the Procfile; `queues` are the worker classes that it serves."""

    process: str
    name: str
    configure: str
    write: str
    read: str
    queues: tuple[str, ...] = ()


def users(prefix: str, workers: Mapping[str, tuple[str, ...]]) -> list[User]:
    """Return the users, for workers that serve these classes each."""
    classes = sorted(registry.worker_classes)
    names = _all_of(classes)
    # They declare the queues of all classes, and may take from none.
    publisher = (_any([*names, PROBE]), _any([*names, PROBE]), _any(map(exchange_name, classes)))
    return [
        User("web", f"{prefix}_web", *publisher),
        User("dispatcher", f"{prefix}_dispatcher", *publisher),
        *(User(f"worker_{name}", f"{prefix}_worker_{name}", *_worker(name, of), of) for name, of in workers.items()),
        User("flower", f"{prefix}_flower", *_flower()),
    ]


def _worker(name: str, queues: tuple[str, ...]) -> tuple[str, str, str]:
    leads_to = {to for queue in queues for to in LEADS_TO.get(queue, ())}
    # Celery's name of the worker is that of its process, as in the Procfile.
    control = rf"{re.escape(name)}@.+\.{re.escape(CONTROL)}"
    names = _all_of(queues)
    return (
        _any([*names, EVENTS, REPLIES, CONTROL], control),
        # What its jobs lead to it publishes, and declares nothing there.
        _any([*names, *map(exchange_name, leads_to), EVENTS, REPLIES], control),
        _any([*names, CONTROL], control),
    )


def _flower() -> tuple[str, str, str]:
    events, answers = rf"{EVENTS}\.{_UUID}", rf"{_UUID}\.{re.escape(REPLIES)}"
    return (
        _any([EVENTS, CONTROL, REPLIES], events, answers),
        # To ask workers is to speak to all of them: no rule can tell `inspect` from `shutdown`.
        _any([CONTROL], events, answers),
        _any([EVENTS, REPLIES], events, answers),
    )


def _all_of(queues: Collection[str]) -> list[str]:
    return [*queues, *map(exchange_name, queues)]


def _any(names: Iterable[str], *expressions: str) -> str:
    return f"^({'|'.join([*sorted(map(re.escape, names)), *expressions])})$"


def definitions(users: Collection[User], passwords: Mapping[str, str], *, url: str) -> dict[str, Any]:
    """Return the users as `rabbitmqctl import_definitions` takes them, for the virtual host of this address.

    `passwords` by the name of the user; the file holds salted hashes.
    """
    host = unquote(urlsplit(url).path[1:]) or "/"
    return {
        "users": [
            {
                "name": user.name, "password_hash": digest(passwords[user.name]),
                "hashing_algorithm": "rabbit_password_hashing_sha256", "tags": "",
            } for user in users
        ],
        "permissions": [
            {
                "user": user.name, "vhost": host,
                "configure": user.configure, "write": user.write, "read": user.read,
            } for user in users
        ],
    }  # fmt: skip


def digest(password: str) -> str:
    """The form in which RabbitMQ keeps a password."""
    salt = secrets.token_bytes(_SALT_BYTES)
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()
