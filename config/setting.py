"""How one setting is read from the environment, and what is said when it cannot be."""

from __future__ import annotations

import ipaddress
import json
import logging
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

from django.core.exceptions import ImproperlyConfigured

from agentapp.policies import mail_header
from config.extensions import is_found
from config.url import Unusable

BASE_DIR = Path(__file__).resolve().parent.parent

T = TypeVar("T")
# A month, in seconds: no lease, time-out or pause is longer. The largest integer of a Postgres column.
LONGEST_S = 2_678_400.0
LARGEST = 2_147_483_647
LONGEST_SHOWN = 100
# The table, in the order in which settings are declared.
SETTINGS: list[Setting[Any]] = []


def text(value: str) -> str:
    return value


def number(value: str, *, least: float = 0.0, most: float = LONGEST_S) -> float:
    """Read a number in ASCII digits. What is longer than `most` overflows a timer, a date or a column somewhere."""
    if not value.isascii() or "_" in value or not least <= (result := float(value)) <= most:
        raise Unusable(f"must be a number from {least:,g} to {most:,.0f}")
    return result


def whole(value: str, *, least: int = 0, most: int = LARGEST) -> int:
    if not re.fullmatch(r"[0-9]{1,10}", value) or not least <= (result := int(value)) <= most:
        raise Unusable(f"must be a whole number from {least:,} to {most:,}")
    return result


# A duration that may not be 0: a lease, or a pause between two looks.
some_time = partial(number, least=0.01)
port = partial(whole, most=65_535)
days = partial(whole, most=36_500)


def trace_url(value: str) -> str:
    """Read the address of a page that has the id of a trace in it."""
    if not value.startswith(("http://", "https://")) or "{trace_id}" not in value:
        raise Unusable("must begin with http:// or https://, and hold {trace_id}")
    return value


def flag(value: str) -> bool:
    words = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    if value.lower() not in words:
        raise ValueError("1 or 0")
    return words[value.lower()]


def names(value: str) -> list[str]:
    """Read a comma list; blanks and empty parts do not count."""
    return [part.strip() for part in value.split(",") if part.strip()]


def hosts(value: str) -> list[str]:
    """Read a comma list of host names, without scheme, port or path; * stands for any."""
    what = "host names alone, with a comma between them: no scheme, no port, no path"
    return _alike(value, r"\*|\.?[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\]", what)


def origins(value: str) -> list[str]:
    """Read a comma list of origins: a scheme, a host, perhaps a port."""
    what = "origins, each a scheme and a host without a path, with a comma between them"
    return _alike(value, r"https?://(\*\.)?[A-Za-z0-9.\[\]:-]+", what)


def cors_origins(value: str) -> list[str]:
    """Read a comma list of origins as browsers write them in the header Origin, or *."""
    if value == "*":
        return [value]
    pattern = r"https?://([a-z0-9.-]+|\[[0-9a-f:]+\])(:[0-9]{1,5})?"
    found = _alike(
        value.lower(), pattern, "* or origins, each a scheme and a host without a path, with a comma between them"
    )
    # A browser leaves the usual port out.
    return [re.sub(r"^(http://.*):80$|^(https://.*):443$", r"\1\2", origin) for origin in found]


def _alike(value: str, pattern: str, what: str) -> list[str]:
    found = names(value)
    if not found or not all(re.fullmatch(pattern, name) for name in found):
        raise Unusable(f"must be {what}")
    return found


def web_address(value: str) -> str:
    """The address of a web server, without a slash at its end."""
    if not re.fullmatch(r"https?://[^\s/?#@]+(/[^\s?#]*)?", value):
        raise ValueError("must be an address such as https://agentapp.example.org")
    return value.rstrip("/")


def networks(value: str) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    """Read a comma list of networks; each begins at its first address."""
    try:
        return [ipaddress.ip_network(name) for name in names(value)]
    except ValueError:
        raise Unusable("must be networks as in 10.20.0.0/16, with a comma between them") from None


def sender(value: str) -> str:
    """Read one mail address, with or without a name before it, by the rule that holds when a mail is sent."""
    if problem := mail_header.sender_problem(value):
        raise Unusable(f"cannot be used: {problem.rstrip('.')}")
    return value


def importable(value: str) -> str:
    """Read the dotted name of a class in a module that Python finds."""
    module, _, name = value.rpartition(".")
    if not (module and name.isidentifier() and is_found(module)):
        raise Unusable("names a class in a module that Python does not find: install its package, or correct the name")
    return value


def seconds_by_name(value: str) -> dict[str, float]:
    """Read a comma list of names and durations; * stands for every other name."""
    pairs = [part.partition("=") for part in names(value)]
    if not pairs or not all(re.fullmatch(r"\*|[a-z][a-z0-9_]*", name.strip()) and sign for name, sign, _ in pairs):
        raise Unusable("must be names and seconds as in *=60,model=120, with a comma between them")
    return {name.strip(): some_time(seconds.strip()) for name, _, seconds in pairs}


def mapping(value: str) -> dict[str, Any]:
    try:
        result = json.loads(value)
    except RecursionError:
        raise ValueError("a JSON object") from None
    if not isinstance(result, dict):
        raise ValueError("a JSON object")
    return result


def directory(value: str) -> Path:
    """Read a path; a relative one starts at the checkout, so that it does not depend on where a process was started."""
    if not value.isprintable():
        raise Unusable("holds a character that is not printable")
    try:
        return BASE_DIR / Path(value).expanduser()
    except RuntimeError:
        raise Unusable("begins with ~ and the name of a user that this machine does not have") from None


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
            shown = "the value given" if self.secret else f"{raw[:LONGEST_SHOWN]!r}"
            raise ImproperlyConfigured(
                f"{self.name} cannot be {shown}: write for instance {self.name}={self.example}. {self.sentence}"
            ) from error
