"""Which way an MCP server is reached: over HTTP, or as a program of this machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from agentapp.delivery.guarded_http import Guard
from agentapp.tools.servers import command, session
from agentapp.tools.servers.command import CommandSession
from agentapp.tools.servers.session import Address, HttpSession, Session


@contextmanager
def opened(address: Address, *, left_s: Callable[[], float]) -> Iterator[Session]:
    """Begin a session, and end it.

    Raises:
        NotSentYet: the server cannot be reached, or not now.
        CannotBeSent: it refuses, speaks another protocol, or cannot be started.
    """
    begun: Session
    if command.is_command(address.url):
        begun = CommandSession(address, left_s)
    else:
        begun = HttpSession(address, left_s, session.guard())
    try:
        begun.begin()
        yield begun
    finally:
        begun.end()


def check(url: str, guard: Guard) -> None:
    """See that a server may be there. Raises TargetNotAllowed and NoAnswer; CannotBeSent: there is no such program."""
    if command.is_command(url):
        command.of(url)
    else:
        guard.check(url)
