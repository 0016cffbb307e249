"""How a customer is found in texts: as a word of its own, in either case. Pure."""

from __future__ import annotations

import json
import re
import unicodedata
from urllib.parse import quote

# Beside a letter or a digit it is another word. Behind an escape of JSON, such as that of a line feed, a word begins.
_BEGINS = r"((?<![a-z0-9._%+\-])|(?<=\\[nrtbf])|(?<=\\u[0-9a-f]{4}))"
_SPACE = r"(\s|\\[nrt])+"
_ENDS = r"(?![a-z0-9_\-]|\.[a-z0-9])"


def pattern(customer: str) -> str:
    """The regular expression, for Postgres and without regard to case, that finds whom a fact is `about`: as it is,
    with accents apart, in JSON and in an address; and where a line ends between two of its words."""
    written = {customer, unicodedata.normalize("NFD", customer)}
    forms = written | {json.dumps(form, ensure_ascii=False)[1:-1] for form in written} | {quote(customer)}
    found = "|".join(re.escape(form).replace(r"\ ", _SPACE) for form in sorted(forms))
    return f"{_BEGINS}({found}){_ENDS}"
