"""Forms of the admin: fields in groups, what was typed into them, and what is wrong beside each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime


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
    """What a person typed, by field; a browser ends lines as no record does."""
    return {name: post.get(name, "").replace("\x00", "").replace("\r\n", "\n").strip() for name in names}


def filled(groups: Groups, entered: Mapping[str, str], errors: Mapping[str, str]) -> list[tuple[str, list[Field]]]:
    """The form: titles, each with its fields as they stand."""
    return [
        (
            title,
            [replace(field, value=entered.get(field.name, ""), error=errors.get(field.name, "")) for field in fields],
        )
        for title, fields in groups
    ]


def as_read(post: Mapping[str, str]) -> datetime | None:
    """When a record was last changed as the form has shown it, for the service; None where the form does not say."""
    text = post.get("as_read", "")
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        # No record was changed then.
        return datetime.min.replace(tzinfo=UTC)


def seen(post: Mapping[str, str]) -> str:
    """What `as_read` was read from, for a form that is shown once more: what somebody else has saved since stands
    nowhere on it."""
    return post.get("as_read", "")


def saved_meanwhile(entered: Mapping[str, str], saved: Mapping[str, str]) -> dict[str, str]:
    """What a record says since somebody else has changed it, beside each field into which something else was typed."""
    return {name: f"Saved meanwhile: {value or 'empty'}." for name, value in saved.items() if entered[name] != value}
