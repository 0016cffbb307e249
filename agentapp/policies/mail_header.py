"""What may stand in the header of a mail: one address, one line. [G3]

A header ends at a line break, and programs on the way take more characters for one than CR and LF. So an address and
a subject hold none of them; they are checked when they are submitted, when they are decided, and before they are sent.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from email.headerregistry import Address, HeaderRegistry

from django.core.exceptions import ValidationError
from django.core.validators import validate_email

LONGEST_ADDRESS = 254
LONGEST_LOCAL_PART = 64
LONGEST_SUBJECT = 500
# What parts addresses, quotes them, or adds a name. An address that needs them is refused, not understood.
_NOT_IN_ADDRESS = frozenset(',;:<>()"\\')
# Control characters, halves of surrogate pairs, line and paragraph separators.
_UNPRINTABLE = frozenset({"Cc", "Cs", "Zl", "Zp"})


def address_problem(value: object) -> str:
    """Return why a text is not one plain mail address, as a sentence; the empty string when it is one."""
    if not isinstance(value, str) or not value:
        return "Write one mail address, such as name@example.org."
    if len(value) > LONGEST_ADDRESS or len(value.rpartition("@")[0]) > LONGEST_LOCAL_PART:
        return f"An address has at most {LONGEST_ADDRESS} characters, and {LONGEST_LOCAL_PART} before the @."
    if hidden := next((each for each in value if each == " " or not each.isprintable()), ""):
        return f"An address is printable and has no spaces; this one contains {_name(hidden)}."
    if _NOT_IN_ADDRESS & set(value):
        return "Write one mail address alone, such as name@example.org: no name, no list."
    try:
        validate_email(value)
    except ValidationError:
        return "Write one mail address, such as name@example.org."
    return ""


def subject_problem(value: object) -> str:
    """Return why a text cannot be a subject, as a sentence; the empty string when it can."""
    if not isinstance(value, str) or not value.strip():
        return "Write a subject."
    if len(value) > LONGEST_SUBJECT:
        return f"A subject has at most {LONGEST_SUBJECT} characters."
    if hidden := next((each for each in value if unicodedata.category(each) in _UNPRINTABLE), ""):
        return f"A subject is one line of printable characters; this one contains {_name(hidden)}."
    return ""


def sender_problem(value: str) -> str:
    """Return why a text cannot be the sender of a mail: an address, alone or as `Name <address>`."""
    if hidden := next((each for each in value if unicodedata.category(each) in _UNPRINTABLE), ""):
        return f"A sender is one line of printable characters; this one contains {_name(hidden)}."
    addresses: tuple[Address, ...] = getattr(HeaderRegistry()("From", value), "addresses", ())
    if len(addresses) != 1:
        return "A sender is one address; put a name that contains a comma between double quotes."
    return address_problem(addresses[0].addr_spec)


PROBLEMS: dict[str, Callable[[object], str]] = {"to": address_problem, "subject": subject_problem}


def problems(content: dict[str, object]) -> dict[str, str]:
    """Return {field: sentence} for what is wrong in the header fields of a content that would be sent."""
    found = {name: problem(content[name]) for name, problem in PROBLEMS.items() if name in content}
    return {name: sentence for name, sentence in found.items() if sentence}


def _name(character: str) -> str:
    return {" ": "a space"}.get(character, f"U+{ord(character):04X}")
