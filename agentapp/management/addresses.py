"""A file with a line VARIABLE=ADDRESS for each process that connects as somebody of its own, with a password."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from django.core.management.base import CommandError

from agentapp.local.files import write_private

_LINE = re.compile(r"(?P<export>\s*export\s+)?\s*(?P<variable>[A-Za-z_]\w*)=(?P<value>.*)")


def read(file: Path | None) -> dict[str, str]:
    """The variables of a file, as a shell would read it: the last line of each counts."""
    lines = file.read_text().splitlines() if file and file.exists() else []
    return {found["variable"]: _value(found) for line in lines if (found := _LINE.fullmatch(line))}


def write(file: Path, wanted: Mapping[str, str], *, force: bool = False, rotates: bool = False) -> list[str]:
    """Add the lines that the file lacks. All else in it stays as it is, an address of a person's own too, such as one
    of a pooler: return the variables of these. `force`: these are written anew; `rotates`: with the new password.

    Raises CommandError: the file has another password than the one that is to hold.
    """
    lines = file.read_text().splitlines() if file.exists() else []
    places = {found["variable"]: (at, found) for at, line in enumerate(lines) if (found := _LINE.fullmatch(line))}
    own: list[str] = []
    for variable, address in wanted.items():
        at, found = places.get(variable, (len(lines), None))
        if rotates and not force and found is not None:
            lines[at] = _rotated(found, address)
            found = _LINE.fullmatch(lines[at])
        if found is None:
            lines.append(f"{variable}={address}")
        elif force and _value(found) != address:
            lines[at] = f"{found['export'] or ''}{variable}={address}"
        elif _password(_value(found), variable) != _password(address, variable):
            raise CommandError(
                f"{file} has another password in {variable} than the environment. Nothing was changed. Take one of "
                "them away, or write it anew with --force."
            )
        elif _value(found) != address:
            own.append(variable)
    write_private(file.resolve(), "".join(f"{line}\n" for line in lines))
    return own


def stayed(file: Path, own: list[str]) -> str:
    """What a command says of addresses that it has left alone."""
    verb = "differs" if len(own) == 1 else "differ"
    return f"{', '.join(own)} in {file} {verb} from what this command would write, and stayed. --force writes anew."


def _value(line: re.Match[str]) -> str:
    text = line["value"].strip()
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"" else text


def _rotated(line: re.Match[str], address: str) -> str:
    """The line with the password of an address, or with the address where it has none."""
    old, new = (_split(each, line["variable"]).password for each in (_value(line), address))
    if old is None:
        return f"{line['export'] or ''}{line['variable']}={address}"
    return line[0].replace(f":{old}@", f":{new}@", 1)


def password(address: str, name: str, *, variable: str, noun: str) -> str:
    """The password in an address; empty where there is none. Raises CommandError: the address is another one's."""
    parts = _split(address, variable)
    if parts.username and unquote(parts.username) != name:
        raise CommandError(f"{variable} is an address of another {noun} than {name}. Is --prefix right?")
    return unquote(parts.password or "")


def _password(address: str, variable: str) -> str:
    return unquote(_split(address, variable).password or "")


def _split(address: str, variable: str) -> SplitResult:
    """Raises CommandError, which quotes nothing of the address: there is a password in it."""
    try:
        return urlsplit(address)
    except ValueError:
        raise CommandError(f"{variable} holds no address: write it as in redis://name:password@host:6379/0.") from None


def new_password() -> str:
    return secrets.token_urlsafe(24)
