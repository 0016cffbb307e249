"""A Valkey of a test's own, whose users it may change."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agentapp.local import ports
from agentapp.local.servers import start_servers, stop_servers
from agentapp.local.supervisor import Supervisor
from agentapp.local.valkey import EmbeddedValkey


@contextmanager
def started(home: Path) -> Iterator[EmbeddedValkey]:
    valkey = EmbeddedValkey(home, port=ports.free(1)[0], password=secrets.token_hex(16), durable=False)
    supervisor = Supervisor(logs=home / "logs")
    try:
        start_servers(supervisor, logs=home / "logs", postgres=None, valkey=valkey)
        yield valkey
    finally:
        stop_servers(supervisor)
        supervisor.close()
