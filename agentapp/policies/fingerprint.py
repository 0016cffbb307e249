"""Which failures are one failure: a short name for an error, without what differs from job to job. [F3]"""

from __future__ import annotations

import hashlib
import re

DIGITS = 12
# A message may quote a whole document; what makes it this failure stands at its beginning.
READ_CHARACTERS = 2_000

# In this order: what is quoted may hold anything, an address may hold ids, an id may hold numbers.
_REPLACED = (
    # An apostrophe inside a word quotes nothing.
    (re.compile(r"""(?<!\w)'[^']*'(?!\w)|"[^"]*"|`[^`]*`|“[^”]*”|«[^»]*»"""), "<text>"),
    (re.compile(r"\b[a-z][a-z0-9+.-]*://\S+", re.IGNORECASE), "<url>"),
    (re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+"), "<address>"),
    (re.compile(r"\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b", re.IGNORECASE), "<id>"),
    # A digit makes a word an id, a hash or a number: 0x1f, req_8fa2, 12.5, 2030-01-01.
    (re.compile(r"\w*\d\w*(?:[.,:/-]\w*\d\w*)*"), "<n>"),
    (re.compile(r"\s+"), " "),
)


def of(job_type: str, error_class: str, message: str) -> str:
    """Return 12 hexadecimal digits that equal failures share, whichever job they hit."""
    told = "\n".join((job_type, error_class, skeleton(message)))
    return hashlib.sha256(told.encode(errors="replace")).hexdigest()[:DIGITS]


def skeleton(message: str) -> str:
    """Return a message with its quotations, addresses, ids and numbers replaced by what they are."""
    text = message[:READ_CHARACTERS]
    for pattern, name in _REPLACED:
        text = pattern.sub(name, text)
    return text.strip()
