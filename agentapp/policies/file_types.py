"""What kind of document a file is: its content decides, its declared type and its name only help. Pure."""

from __future__ import annotations

import re
from enum import StrEnum

from agentapp.errors import InvalidInput

HEAD_BYTES = 4096
FIELD = "file"


class FileType(StrEnum):
    """A kind of file that is taken in."""

    TEXT = "text"
    MARKDOWN = "markdown"
    HTML = "html"
    PDF = "pdf"
    DOCX = "docx"


NAMES = {
    FileType.TEXT: "text", FileType.MARKDOWN: "Markdown", FileType.HTML: "HTML", FileType.PDF: "PDF",
    FileType.DOCX: "Word (DOCX)",
}  # fmt: skip
MEDIA_TYPES = {
    FileType.TEXT: "text/plain",
    FileType.MARKDOWN: "text/markdown",
    FileType.HTML: "text/html",
    FileType.PDF: "application/pdf",
    FileType.DOCX: "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
}
_BY_MEDIA_TYPE = {media_type: kind for kind, media_type in MEDIA_TYPES.items()} | {
    "text/x-markdown": FileType.MARKDOWN, "application/xhtml+xml": FileType.HTML,
}  # fmt: skip
# A client that does not know, or whose tool says this of everything.
_SAYS_NOTHING = ("", "application/octet-stream", "binary/octet-stream", "application/x-www-form-urlencoded")
SUFFIXES = {
    ".txt": FileType.TEXT, ".md": FileType.MARKDOWN, ".markdown": FileType.MARKDOWN, ".html": FileType.HTML,
    ".htm": FileType.HTML, ".xhtml": FileType.HTML, ".pdf": FileType.PDF, ".docx": FileType.DOCX,
}  # fmt: skip
# Of these a file is the text that is kept.
PLAIN = (FileType.TEXT, FileType.MARKDOWN)
_TEXTS = (FileType.TEXT, FileType.MARKDOWN, FileType.HTML)
_OTHERS = (
    (b"\xd0\xcf\x11\xe0", "an old Word file or one that is protected by a password. Save it as DOCX without one"),
    (b"{\\rtf", "an RTF file. Save it as DOCX or PDF"),
    (b"\x89PNG", "a picture. Send the text that it shows"),
    (b"\xff\xd8\xff", "a picture. Send the text that it shows"),
    (b"GIF8", "a picture. Send the text that it shows"),
    (b"\x1f\x8b", "a packed file. Send what is in it"),
    (b"7z\xbc\xaf", "a packed file. Send what is in it"),
    (b"Rar!", "a packed file. Send what is in it"),
)
UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_PAGE = re.compile(r"\s*(?:<\?xml[^>]{0,200}>\s*)?<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE)


def decide(data: bytes, *, declared: str = "", name: str = "") -> FileType:
    """Return what kind of file this is. `declared` is a media type, without parameters, or empty.

    Raises:
        InvalidInput: it is empty, of a kind that is not taken, or not what its type or its name says.
    """
    hints = {_declared(declared), _suffix(name)} - {None}
    if not data.strip():
        raise InvalidInput.at(FIELD, "The file is empty.")
    kind = _by_content(data)
    if kind in _TEXTS:
        kind = _text(kind, hints)
    if hints and kind not in hints:
        said = " and ".join(sorted(NAMES[FileType(str(hint))] for hint in hints))
        raise InvalidInput.at(
            FIELD, f"It is sent as {said}, but its content is {NAMES[kind]}. Correct its type or its name."
        )
    return kind


def _declared(declared: str) -> FileType | None:
    media_type = declared.strip().lower()
    if media_type in _SAYS_NOTHING:
        return None
    if media_type not in _BY_MEDIA_TYPE:
        taken = ", ".join(MEDIA_TYPES.values())
        raise InvalidInput.at(FIELD, f"Files of the type {media_type[:100]} are not taken. Send one of {taken}.")
    return _BY_MEDIA_TYPE[media_type]


def _suffix(name: str) -> FileType | None:
    dot = name.rfind(".")
    return SUFFIXES.get(name[dot:].lower()) if dot >= 0 else None


def _by_content(data: bytes) -> FileType:
    for signature, words in _OTHERS:
        if data.startswith(signature):
            raise InvalidInput.at(FIELD, f"The file is {words}.")
    if b"%PDF-" in data[:1024]:
        return FileType.PDF
    if data.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return FileType.DOCX
    if data.startswith(UTF_16):
        head = data[:HEAD_BYTES].decode("utf-16", "replace")
    elif b"\0" in data:
        raise InvalidInput.at(
            FIELD, f"The file is none of {', '.join(NAMES.values())}: it contains bytes that no text has."
        )
    else:
        head = data[:HEAD_BYTES].decode("utf-8", "replace").lstrip("\ufeff")
    return FileType.HTML if _PAGE.match(head) else FileType.TEXT


def _text(kind: FileType, hints: set[FileType | None]) -> FileType:
    """Texts look alike: of one that does not begin as a page, its name or its type may say what it is."""
    if kind is FileType.HTML or FileType.HTML in hints:
        return FileType.HTML
    return FileType.TEXT if FileType.TEXT in hints and FileType.MARKDOWN not in hints else FileType.MARKDOWN
