"""Debian's Postgres with its extension plpgsql_check, as a server of its own on a private socket.

The embedded Postgres has no such extension. Debian's in turn has no pgvector: a domain stands for the type `vector`,
which no function of ours names. `python -m tests.debian_postgres FILE` migrates the database of DATABASE_URL so.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from agentapp.local.postgres import EmbeddedPostgres
from agentapp.local.servers import start_servers, stop_servers
from agentapp.local.supervisor import Supervisor
from tests import homes, template

_VERSIONS = Path("/usr/lib/postgresql")
_CHECKOUT = Path(__file__).resolve().parents[1]


def programs() -> Path | None:
    """Return the bin directory of the newest Postgres that has the extension."""
    found = [path.parents[1] / "bin" for path in _VERSIONS.glob("*/lib/plpgsql_check.so")]
    found = [folder for folder in found if (folder / "initdb").exists()]
    return max(found, key=lambda folder: int(folder.parent.name), default=None)


def needed() -> Path:
    """Return them, or skip the test that asks, unless AGENTAPP_REQUIRE_PLPGSQL_CHECK=1 forbids that."""
    if found := programs():
        return found
    missing = "plpgsql_check is missing: install Debian's postgresql-N-plpgsql-check, such as N = 15"
    if os.environ.get("AGENTAPP_REQUIRE_PLPGSQL_CHECK") == "1":
        pytest.fail(missing)
    pytest.skip(missing)


@contextmanager
def migrated(programs: Path) -> Iterator[str]:
    """Run such a server with all migrations; yield the address of its database."""
    home = homes.make()
    supervisor = Supervisor(logs=home / "logs")
    # Its initdb may be too old for the builtin locales.
    postgres = EmbeddedPostgres(home, durable=False, programs=programs, locale=["--locale=C"])
    try:
        start_servers(supervisor, logs=home / "logs", postgres=postgres, valkey=None)
        command = [sys.executable, "-m", "tests.debian_postgres", str(home / "migrated")]
        subprocess.run(command, cwd=_CHECKOUT, env={**os.environ, "DATABASE_URL": postgres.url}, check=True)
        yield postgres.url
    finally:
        stop_servers(supervisor)
        supervisor.close()
        shutil.rmtree(home, ignore_errors=True)


def _make_domain(operation: Any, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
    schema_editor.execute("CREATE DOMAIN vector AS real[]")


if __name__ == "__main__":
    from pgvector.django import VectorExtension

    VectorExtension.database_forwards = _make_domain  # type: ignore[method-assign,assignment]
    template.main(Path(sys.argv[1]))
