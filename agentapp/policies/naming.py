"""How a customer is found in texts: as a word of its own, in either case. Pure."""

from __future__ import annotations

import re
from urllib.parse import quote

# Beside a letter or a digit it is another word. Behind an escape of JSON, such as that of a line feed, a word begins.
_BEGINS = r"((?<![a-z0-9._%+\-])|(?<=\\[nrtbf])|(?<=\\u[0-9a-f]{4}))"
_ENDS = r"(?![a-z0-9_\-]|\.[a-z0-9])"


def pattern(customer: str) -> str:
    """The regular expression, for Postgres and without regard to case, that finds whom a fact is `about`."""
    forms = {customer, quote(customer)}
    return f"{_BEGINS}({'|'.join(re.escape(form) for form in sorted(forms))}){_ENDS}"
