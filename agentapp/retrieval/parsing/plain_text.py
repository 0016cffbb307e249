"""Read bytes as text."""

from __future__ import annotations

import codecs
import re

from agentapp.retrieval.parsing.limits import Unreadable

_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_IN_PAGE = re.compile(rb"<(?:meta|\?xml)[^>]{0,200}?(?:charset|encoding)\s*=\s*[\"']?\s*([\w.:-]{1,40})", re.IGNORECASE)
_PAGE_HEAD_BYTES = 2048


def decode(data: bytes, *, charset: str = "") -> str:
    """Return the text of a file: by its byte order mark, else by the character set that was declared, else as UTF-8.

    Raises:
        Unreadable: it is not in that character set, or nobody knows it.
    """
    named = next((name for mark, name in _MARKS if data.startswith(mark)), charset or "utf-8")
    try:
        return data.decode(named)
    except LookupError:
        raise Unreadable(f"The character set {named} is not known. Save the file as UTF-8.") from None
    except UnicodeError as error:
        at = f"byte {error.start:,} is not" if isinstance(error, UnicodeDecodeError) else "it is not"
        advice = "Save the file as UTF-8" if charset else "Save the file as UTF-8, or declare its character set"
        raise Unreadable(f"It cannot be read as {named.removesuffix('-sig').upper()}: {at}. {advice}.") from None


def charset_of_page(data: bytes) -> str:
    """Return the character set that an HTML page says it has, or the empty string."""
    found = _IN_PAGE.search(data[:_PAGE_HEAD_BYTES])
    return found[1].decode("ascii", "replace") if found else ""
