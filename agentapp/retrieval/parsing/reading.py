"""Read one file as its type says."""

from __future__ import annotations

from agentapp.policies import storable
from agentapp.policies.file_types import FileType
from agentapp.retrieval.parsing import docx_text, html_text, plain_text
from agentapp.retrieval.parsing.limits import Limits, Unreadable


def read(data: bytes, *, file_type: FileType, limits: Limits, charset: str = "") -> tuple[str, str]:
    """Return the title that a file gives itself, or an empty one, and its text as Markdown.

    Raises:
        Unreadable: with a sentence about the file that says why there is no text.
    """
    title, text = _read(data, file_type, limits, charset)
    limits.check_length(len(text))
    if not text.strip():
        raise Unreadable("There is no text in it.")
    return storable.text(title), storable.text(text)


def _read(data: bytes, file_type: FileType, limits: Limits, charset: str) -> tuple[str, str]:
    match file_type:
        case FileType.PDF:
            # It takes longer to import than most files to read.
            from agentapp.retrieval.parsing import pdf_text

            return pdf_text.read(data, limits)
        case FileType.DOCX:
            return docx_text.read(data, limits)
        case FileType.HTML:
            page = plain_text.decode(data, charset=charset or plain_text.charset_of_page(data))
            return html_text.read(page, limits)
        case _:
            return "", plain_text.decode(data, charset=charset)
