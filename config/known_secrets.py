"""Which values of the environment are secret, so that they are taken out of logs, errors and results."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from agentapp import secret_refs
from config.setting import SETTINGS

_SECRET_NAME = re.compile(r"secret|passw|token|credential|(^|_)key$", re.IGNORECASE)


def values(environ: Mapping[str, str], *, more: Iterable[str] = ()) -> Iterator[str]:
    """Return the values of all settings that are marked as secret, of all references to secrets, and of `more`, which
    are read like settings."""
    yield from secret_refs.known(environ)
    settings = (environ.get(setting.name, "").strip() for setting in SETTINGS if setting.secret)
    for text in (*settings, *more):
        yield from _of(text)


def _of(text: str) -> Iterator[str]:
    """What is secret of a setting: of an address its password, of a JSON object what its names tell, else all of it."""
    if "://" in text:
        user, _, _ = text.partition("://")[2].rpartition("@")
        password = user.partition(":")[2]
        found = [value for name, value in parse_qsl(urlsplit(text).query) if _SECRET_NAME.search(name)]
        yield from (password, unquote(password), *found)
    elif text.startswith("{"):
        try:
            yield from _named(json.loads(text))
        except (ValueError, RecursionError):
            # Reading the setting says so.
            return
    else:
        yield from (text, *(part.strip() for part in text.split(",")))


def _named(value: Any, name: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _named(item, key)
    elif isinstance(value, list):
        for item in value:
            yield from _named(item, name)
    elif isinstance(value, str) and _SECRET_NAME.search(name):
        yield value
