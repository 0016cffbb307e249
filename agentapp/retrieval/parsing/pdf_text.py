"""Read the text of a PDF, each page below a heading, so that an answer cites pages."""

from __future__ import annotations

import logging
from io import BytesIO

from pypdf import PasswordType, PdfReader
from pypdf.errors import DependencyError, PyPdfError

from agentapp.retrieval.parsing.limits import Limits, Unreadable


def read(data: bytes, limits: Limits) -> tuple[str, str]:
    """Return the title of a PDF, if it has one, and its text as Markdown.

    Raises:
        Unreadable: it is damaged, protected, too long, or has no text.
    """
    # It tells of each small mistake in a file; what matters is raised.
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    try:
        reader = PdfReader(BytesIO(data), strict=False)
        if reader.is_encrypted and reader.decrypt("") is PasswordType.NOT_DECRYPTED:
            raise Unreadable("It is protected by a password. Save it without one.")
        pages = len(reader.pages)
        if pages > limits.pages:
            raise Unreadable(f"It has {pages:,} pages; at most {limits.pages:,} are read. Split it.")
        return _title(reader), _text(reader, limits)
    except DependencyError:
        raise Unreadable("It is protected in a way that cannot be read. Save it without a password.") from None
    except (PyPdfError, ValueError, TypeError, KeyError, IndexError, AttributeError, AssertionError, OSError) as error:
        # pypdf meets damaged files with whatever error the damage leads to.
        raise Unreadable(f"It is damaged and cannot be read as PDF ({type(error).__name__}).") from None


def _title(reader: PdfReader) -> str:
    title = reader.metadata.title if reader.metadata else ""
    return title.strip() if isinstance(title, str) else ""


def _text(reader: PdfReader, limits: Limits) -> str:
    shown: list[str] = []
    length = 0
    for number, page in enumerate(reader.pages, 1):
        text = page.extract_text().strip()
        length += len(text)
        limits.check_length(length)
        if text:
            shown.append(f"# Page {number}\n\n{text}")
    if not shown:
        raise Unreadable("There is no text in it, only pictures. Recognize its text (OCR) and send it again.")
    return "\n\n".join(shown)
