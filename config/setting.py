"""How one setting is read from the environment, and what is said when it cannot be."""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from django.core.exceptions import ImproperlyConfigured

from config.url import Unusable

BASE_DIR = Path(__file__).resolve().parent.parent

T = TypeVar("T")
# The table, in the order in which settings are declared.
SETTINGS: list[Setting[Any]] = []


def text(value: str) -> str:
    return value


def number(value: str) -> float:
    result = float(value)
    if not 0 <= result < float("inf"):
        raise ValueError("a number that is not negative")
    return result


def whole(value: str) -> int:
    result = int(value)
    if result < 0:
        raise ValueError("a whole number that is not negative")
    return result


def flag(value: str) -> bool:
    words = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    if value.lower() not in words:
        raise ValueError("1 or 0")
    return words[value.lower()]


def names(value: str) -> list[str]:
    """Read a comma list; blanks and empty parts do not count."""
    return [part.strip() for part in value.split(",") if part.strip()]


def mapping(value: str) -> dict[str, Any]:
    result = json.loads(value)
    if not isinstance(result, dict):
        raise ValueError("a JSON object")
    return result


def directory(value: str) -> Path:
    """Read a path; a relative one starts at the checkout, so that it does not depend on where a process was started."""
    return BASE_DIR / Path(value).expanduser()


def path_prefix(value: str) -> str:
    """Read a path such as /agents; a slash at its end does not count."""
    if not re.fullmatch(r"(/[A-Za-z0-9._~-]+)+/?", value):
        raise ValueError("a path that begins with a slash")
    return value.rstrip("/")


def api_key(value: str) -> str:
    """Read a key as it stands in a header: printable ASCII without blanks."""
    if not re.fullmatch(r"[!-~]+", value):
        raise Unusable("holds a blank or a character that is not ASCII: copy the key again, without quotes around it")
    return value


def log_level(value: str) -> str:
    if value.upper() not in logging.getLevelNamesMapping():
        raise ValueError("the name of a level")
    return value.upper()


def log_format(value: str) -> str:
    if value not in {"json", "text"}:
        raise ValueError("json or text")
    return value


@dataclass(frozen=True)
class Setting(Generic[T]):
    """One line of the table, which it joins when it is made. An empty variable counts as unset."""

    name: str
    default: T
    parse: Callable[[str], T]
    example: str
    sentence: str
    unit: str = ""
    secret: bool = False

    def __post_init__(self) -> None:
        SETTINGS.append(self)

    def read(self, environ: Mapping[str, str] | None = None) -> T:
        """Return the value that the environment gives, or the default.

        Raises:
            ImproperlyConfigured: the text cannot be read as this kind of value; the sentence says what would be.
        """
        raw = (os.environ if environ is None else environ).get(self.name, "").strip()
        if not raw:
            return self.default
        try:
            return self.parse(raw)
        except Unusable as error:
            raise ImproperlyConfigured(f"{self.name} {error}. Write for instance {self.name}={self.example}") from None
        except ValueError as error:
            shown = "the value given" if self.secret else f"{raw!r}"
            raise ImproperlyConfigured(
                f"{self.name} cannot be {shown}: write for instance {self.name}={self.example}. {self.sentence}"
            ) from error
