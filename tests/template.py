"""One database with all migrations, of which each worker of `pytest -n` makes a copy.

A process of its own migrates it while the workers collect: `python -m tests.template FILE` writes FILE when it is done.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import traceback
from pathlib import Path
from urllib.parse import urlsplit

_CHECKOUT = Path(__file__).resolve().parents[1]
# Names the file for the workers that xdist starts.
_VARIABLE = "AGENTAPP_TEST_TEMPLATE"
_DEADLINE_S = 300


def begin(home: Path) -> subprocess.Popen[bytes]:
    """Start to migrate the database of DATABASE_URL."""
    os.environ[_VARIABLE] = str(home / "template")
    return subprocess.Popen([sys.executable, "-m", "tests.template", os.environ[_VARIABLE]], cwd=_CHECKOUT)


def name() -> str:
    """Return the name of the template once it is done, or nothing where each process migrates for itself.

    Raises:
        RuntimeError: it could not be migrated.
    """
    if "PYTEST_XDIST_WORKER" not in os.environ or _VARIABLE not in os.environ:
        return ""
    done, deadline = Path(os.environ[_VARIABLE]), time.monotonic() + _DEADLINE_S
    while not done.exists():
        if time.monotonic() > deadline:
            raise RuntimeError(f"The template database was not made within {_DEADLINE_S} s.")
        time.sleep(0.05)
    if problem := done.read_text():
        raise RuntimeError(f"The template database could not be made:\n{problem}")
    return urlsplit(os.environ["DATABASE_URL"]).path.removeprefix("/")


def main(file: Path) -> None:
    import django
    from django.core.management import call_command
    from django.db import connections

    problem = ""
    try:
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
        django.setup()
        call_command("migrate", interactive=False, verbosity=0)
    except BaseException:
        problem = traceback.format_exc()
        raise
    finally:
        # A database in use cannot be copied, and this process may take seconds to end.
        connections.close_all()
        # In one piece: a process that sees the file reads all of it.
        written = file.with_suffix(".writing")
        written.write_text(problem)
        written.rename(file)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
