"""TCP ports on loopback."""

import contextlib
import socket

from agentapp.local.problem import StackProblem

HOST = "127.0.0.1"


def free(count: int) -> list[int]:
    """Return that many different ports that nobody listens on now."""
    with contextlib.ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind((HOST, 0))
        return [int(probe.getsockname()[1]) for probe in probes]


def wanted(port: int) -> int:
    """Return `port`, or a free one for 0.

    Raises:
        StackProblem: somebody listens there, or the number is none of a port.
    """
    if port == 0:
        return free(1)[0]
    if not 0 < port < 65_536:
        raise StackProblem(f"PORT={port} is no port: choose one from 1 to 65535, or 0 for a free one.")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise StackProblem(
                f"Port {port} cannot be used ({error.strerror}): stop what listens there, or choose another, "
                f"PORT={min(port + 1, 65_535)}, or a free one, PORT=0."
            ) from error
    return port
