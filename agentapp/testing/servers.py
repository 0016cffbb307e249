"""A Postgres and a Valkey for the process that runs tests, from the wheels of the extra `local`."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from agentapp.local import ports
from agentapp.local.postgres import EmbeddedPostgres
from agentapp.local.servers import start_servers, stop_servers
from agentapp.local.supervisor import Supervisor
from agentapp.local.valkey import EmbeddedValkey

# They name servers of your own instead.
DATABASE_VARIABLE = "AGENTAPP_TEST_DATABASE_URL"
REDIS_VARIABLE = "AGENTAPP_TEST_REDIS_URL"
# What a shell may hold and a test must not: keys, and the addresses of real services.
UNSET = ("OPENAI_API_KEY", "OPENAI_BASE_URL", "EMAIL_URL", "AGENTAPP_EXTENSIONS", "AGENTAPP_EMBEDDING_URL")


class Servers:
    """The servers of one process; what the environment names already is left alone."""

    def __init__(self, home: Path, *, durable: bool = False, database_url: str = "") -> None:
        self.home = home
        self._supervisor = Supervisor(logs=home / "logs")
        self._durable = durable
        self.database_url = os.environ.get(DATABASE_VARIABLE) or database_url
        self.redis_url = os.environ.get(REDIS_VARIABLE, "")

    def start(self) -> None:
        postgres = valkey = None
        if not self.database_url:
            postgres = EmbeddedPostgres(self.home, durable=self._durable)
            self.database_url = postgres.url
        if not self.redis_url:
            valkey = EmbeddedValkey(
                self.home, port=ports.free(1)[0], password=secrets.token_hex(16), durable=self._durable
            )
            self.redis_url = valkey.url
        start_servers(self._supervisor, logs=self.home / "logs", postgres=postgres, valkey=valkey)

    def stop(self) -> None:
        stop_servers(self._supervisor)
        self._supervisor.close()

    def point_settings_at(self) -> None:
        """Let this process and those that it starts use these servers, and nothing else of the shell."""
        # Processes that tests start would each compile our code again.
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        for name in UNSET:
            os.environ.pop(name, None)
        os.environ["DATABASE_URL"], os.environ["REDIS_URL"] = self.database_url, self.redis_url
        # What a test approves is sent at once.
        os.environ["AGENTAPP_SEND_HOLD_S"] = "0"
        os.environ["AGENTAPP_HOME"] = str(self.home / "home")
        # `up` collects the assets there; whitenoise warns of its absence at every request's end.
        (self.home / "home" / "static").mkdir(parents=True, exist_ok=True)
