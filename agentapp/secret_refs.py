"""References to secrets: rows, settings and payloads name a secret, and the worker that may use it looks it up.

A reference is the name of an environment variable. Its beginning says what it is for, and so which worker classes may
hold it. The variable holds the value, or one with `_FILE` behind its name holds the path of a file with the value.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from agentapp import redaction
from agentapp.errors import PermanentError, PermissionDenied

MODEL_KEY, TOOL_SECRET, MCP_KEY = "MODEL_KEY_", "TOOL_SECRET_", "MCP_KEY_"
# By the beginning of the name: the scope that a worker class needs to hold it.
SCOPES = {MODEL_KEY: "model:call", TOOL_SECRET: "http:send", MCP_KEY: "tools:call"}
IN_FILE = "_FILE"
MOST_BYTES = 16_384
_NAME = re.compile(rf"(?P<prefix>{'|'.join(SCOPES)})[A-Z0-9_]{{1,60}}(?<!{IN_FILE})")


def is_ref(name: str, *, prefix: str) -> bool:
    """Tell whether a text is a reference to a secret for this purpose."""
    found = _NAME.fullmatch(name)
    return found is not None and found["prefix"] == prefix


def resolve(name: str, *, held: Collection[str], environ: Mapping[str, str] | None = None) -> str:
    """Return the value that a reference stands for, and let it be taken out of all that this process writes.

    `held` are the scopes of the worker class that asks.

    Raises:
        PermissionDenied: that class may not hold it.
        PermanentError: there is none, or it cannot be used.
    """
    prefix = permit(name, held=held)
    value = _value(name, os.environ if environ is None else environ)
    if not value:
        raise PermanentError(
            f"The secret {name} is missing: set {name} or {name}{IN_FILE} for the workers that use it."
        )
    if not re.fullmatch(r"[ -~]+", value):
        raise PermanentError(f"The secret {name} holds a character that no header can carry.")
    # A word such as `ollama` stands for no key, where a server of models asks for none.
    if prefix != MODEL_KEY and (weakness := redaction.weakness(value)):
        raise PermanentError(f"The secret {name} is too weak to be kept out of logs: {weakness}. Use a longer one.")
    redaction.learn(value)
    return value


def permit(name: str, *, held: Collection[str]) -> str:
    """See that a worker class with these scopes may hold a secret, and return what its reference begins with.

    Raises:
        PermissionDenied: it may not.
        PermanentError: it is no reference.
    """
    found = _NAME.fullmatch(name)
    if found is None:
        raise PermanentError(f"{name[:80]!r} is no reference to a secret: it begins with {' or '.join(SCOPES)}.")
    if (scope := SCOPES[found["prefix"]]) not in held:
        raise PermissionDenied(f"The secret {name} is for worker classes with the scope {scope}.")
    return found["prefix"]


def _value(name: str, environ: Mapping[str, str]) -> str:
    path = environ.get(f"{name}{IN_FILE}", "")
    if environ.get(name, "").strip() or not path:
        return environ.get(name, "").strip()
    try:
        # Read at each use: after the file is replaced no worker needs to be started again.
        with Path(path).open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise PermanentError(f"The secret {name}: its file cannot be read ({error.strerror}).") from None
    if len(content) > MOST_BYTES:
        raise PermanentError(f"The secret {name}: its file has more than {MOST_BYTES:,} bytes.")
    return content.decode(errors="replace").strip()


def known(environ: Mapping[str, str]) -> Iterator[str]:
    """Return the values of all references that this environment holds, as far as they can be read."""
    names = {name.removesuffix(IN_FILE) for name in environ if name.startswith(tuple(SCOPES))}
    for name in sorted(names):
        try:
            yield _value(name, environ)
        except PermanentError:
            # Who uses it is told.
            continue
