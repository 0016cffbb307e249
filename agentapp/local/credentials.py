"""The passwords and keys of a local stack: made at the first start, kept in one private file, used again later."""

from __future__ import annotations

import json
import secrets
from pathlib import Path

from agentapp.local.files import write_private
from agentapp.local.problem import StackProblem

ADMIN_USER = "admin"
_FILE = "credentials.json"


def load(home: Path) -> dict[str, str]:
    """Return the credentials, made now if there are none. API keys are added by `agentapp.local.seed`.

    Raises:
        StackProblem: the file is there and cannot be read.
    """
    path = home / _FILE
    try:
        kept: dict[str, str] = json.loads(path.read_text())
    except FileNotFoundError:
        made = {
            "admin_user": ADMIN_USER,
            "admin_password": secrets.token_urlsafe(12),
            "redis_password": secrets.token_hex(16),
        }
        save(home, made)
        return made
    except (OSError, json.JSONDecodeError) as error:
        raise StackProblem(
            f"{path} cannot be read ({error}): fix it, or forget everything with `make reset`."
        ) from error
    return kept


def save(home: Path, credentials: dict[str, str]) -> None:
    write_private(home / _FILE, json.dumps(credentials, indent=2) + "\n")


def first_shown(home: Path) -> bool:
    """Return True the first time it is asked on this home: somebody has to be told the credentials once."""
    kept = load(home)
    if "shown" in kept:
        return False
    save(home, {**kept, "shown": "yes"})
    return True
