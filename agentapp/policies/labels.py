"""How a label is written on one line: `case:7`, or quoted as in JSON where that could be read in two ways. Pure."""

from __future__ import annotations

import json
import re

HOW = (
    "Write the name of a label and its value, as in case:7. Quote, as in JSON, what has a colon, a quotation mark or "
    'blanks at an end, or is empty: "a:b":" 7".'
)
_PART = r'("(?:[^"\\]|\\.)*"|[^":]+)'
_LABEL = re.compile(f"{_PART}:{_PART}", re.DOTALL)


def written(name: str, value: str) -> str:
    """Return a label as `read` takes it."""
    return ":".join(part if _is_plain(part) else json.dumps(part, ensure_ascii=False) for part in (name, value))


def read(text: str) -> tuple[str, str] | None:
    """Return name and value of a label; None where it is not one, or it could be two."""
    found = _LABEL.fullmatch(text)
    if found is None or not all(part[0] == '"' or _is_plain(part) for part in found.groups()):
        return None
    try:
        name, value = (json.loads(part) if part[0] == '"' else part for part in found.groups())
    except ValueError:
        return None
    return name, value


def _is_plain(part: str) -> bool:
    return part != "" and part == part.strip() and not {":", '"'} & set(part)
