"""Forms of the admin: fields in groups, what was typed into them, and what is wrong beside each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Field:
    """One field as the page shows it. `kind`: choice, number, text, line, or long for several lines."""

    name: str
    label: str
    help: str
    kind: str = "number"
    options: tuple[tuple[str, str], ...] = ()
    rows: int = 2
    most: int = 300
    value: str = ""
    error: str = ""


Groups = Iterable[tuple[str, tuple[Field, ...]]]


def typed(post: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    """What a person typed, by field."""
    return {name: post.get(name, "").replace("\x00", "").strip() for name in names}


def filled(groups: Groups, entered: Mapping[str, str], errors: Mapping[str, str]) -> list[tuple[str, list[Field]]]:
    """The form: titles, each with its fields as they stand."""
    return [
        (
            title,
            [replace(field, value=entered.get(field.name, ""), error=errors.get(field.name, "")) for field in fields],
        )
        for title, fields in groups
    ]
