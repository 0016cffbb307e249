"""Make the users in a server of Redis or Valkey, over the connection of a user who may do so."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol
from urllib.parse import quote, urlsplit

from agentapp.dispatch import redis_client
from agentapp.dispatch.broker_users.rights import User

ANSWER_S = 10.0
_NO_FILE = "not configured to use an acl file"


class Named(Protocol):
    """A user of any broker, for a process of the Procfile, and the worker classes that it serves."""

    @property
    def process(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def queues(self) -> tuple[str, ...]: ...


class Server:
    """The users of one server.

    Raises:
        ConnectionError: it does not answer, or refuses: it is older than Redis 7, or the user may not make users.
    """

    def __init__(self, url: str) -> None:
        self._client: Any = redis_client.connect(url, timeout_s=ANSWER_S)

    def close(self) -> None:
        self._client.close()

    def apply(self, users: Sequence[User], passwords: Mapping[str, Collection[str]], *, only_these: bool) -> None:
        """Make each user as it is to be, in one command: no process misses anything in between.

        `passwords` by the name of the user. Those that it has stay valid beside them, unless `only_these` are.
        """
        with redis_client.dispensable():
            for user in users:
                hashes = [f"#{digest(password)}" for password in passwords.get(user.name, ())]
                forgets = ("resetpass",) if only_these else ()
                self._client.execute_command("ACL", "SETUSER", user.name, "on", *forgets, *hashes, *user.rules)

    def save(self) -> bool:
        """Let the server keep its users over a restart. False where it has no file for them."""
        try:
            with redis_client.dispensable():
                self._client.execute_command("ACL", "SAVE")
        except ConnectionError as error:
            if _NO_FILE in str(error).lower():
                return False
            raise
        return True

    def without_password(self, users: Sequence[User]) -> list[str]:
        with redis_client.dispensable():
            return [user.name for user in users if not self._found(user.name).get("passwords")]

    def _found(self, name: str) -> dict[str, Any]:
        return dict(self._client.acl_getuser(name) or {})


def digest(password: str) -> str:
    """The form in which a server keeps a password, and in which it is sent: no log and no MONITOR shows it."""
    return hashlib.sha256(password.encode()).hexdigest()


def address(url: str, user: Named, password: str) -> str:
    """Return the address of a server for one of its users."""
    parts = urlsplit(url)
    server = re.sub(r"^.*@", "", parts.netloc)
    return parts._replace(netloc=f"{user.name}:{quote(password, safe='')}@{server}").geturl()
