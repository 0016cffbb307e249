"""A file with a line VARIABLE=ADDRESS for each process that connects as somebody of its own, with a password."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from django.core.management.base import CommandError

from agentapp.local.files import write_private


def read(file: Path | None) -> dict[str, str]:
    lines = file.read_text().splitlines() if file and file.exists() else []
    return dict(line.split("=", 1) for line in lines if "=" in line)


def write(file: Path, lines: Mapping[str, str]) -> None:
    write_private(file, "".join(f"{variable}={address}\n" for variable, address in lines.items()))


def password(address: str, name: str, *, variable: str, noun: str) -> str:
    """The password in an address; empty where there is none. Raises CommandError: the address is another one's."""
    parts = urlsplit(address)
    if parts.username and unquote(parts.username) != name:
        raise CommandError(f"{variable} is an address of another {noun} than {name}. Is --prefix right?")
    return unquote(parts.password or "")


def new_password() -> str:
    return secrets.token_urlsafe(24)
