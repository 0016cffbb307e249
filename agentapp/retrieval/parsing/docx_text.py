"""Read the text of a Word document as Markdown.

Its parts are read as a stream and never built up as a tree, so memory does not grow with nesting. Only the parts that
hold text are opened. A Word document has no DTD: one with a DTD, which entities and references to files need, is not
read.
"""

from __future__ import annotations

import zipfile
import zlib
from io import BytesIO
from xml.parsers import expat

from agentapp.retrieval.parsing.limits import Limits, Unreadable

_WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main "
_FALLBACK = "http://schemas.openxmlformats.org/markup-compatibility/2006 Fallback"
_BODY, _STYLES, _FOOTNOTES = "word/document.xml", "word/styles.xml", "word/footnotes.xml"
# Of Word's outline; what is deeper is text for it, and for us.
_LEVELS = {"0": 1, "1": 2, "2": 3, "3": 4, "4": 5, "5": 6}
ITEM = "- "
_PIECE_BYTES = 64 * 1024
MOST_MEMBERS = 10_000


def read(data: bytes, limits: Limits) -> tuple[str, str]:
    """Return an empty title and the text of a document as Markdown.

    Raises:
        Unreadable: it is damaged, protected, no Word document, or too large when it is unpacked.
    """
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            _check(archive, limits)
            styles = _Styles().fed(archive, _STYLES)
            body = _Body(styles, limits).fed(archive, _BODY).text
            notes = _Body(styles, limits).fed(archive, _FOOTNOTES).text
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError, OSError, ValueError) as error:
        raise Unreadable(f"It is damaged and cannot be unpacked ({type(error).__name__}).") from None
    except RuntimeError:
        raise Unreadable("It is protected by a password. Save it without one.") from None
    except expat.ExpatError as error:
        raise Unreadable(f"It is damaged: its text is no XML ({error}).") from None
    return "", f"{body}\n\n{notes}".strip()


def _check(archive: zipfile.ZipFile, limits: Limits) -> None:
    """See what an archive says of itself before anything is unpacked; no member grows larger than it says."""
    members = archive.infolist()
    if _BODY not in archive.namelist():
        raise Unreadable("It is a ZIP archive, but no Word document. Send the files in it one by one.")
    if len(members) > MOST_MEMBERS:
        raise Unreadable(f"It has {len(members):,} parts; at most {MOST_MEMBERS:,} are read.")
    if (expanded := sum(member.file_size for member in members)) > limits.expanded_bytes:
        raise Unreadable(
            f"Unpacked it has {expanded:,} bytes; at most {limits.expanded_bytes:,} are read. Take out its pictures."
        )


class _Part:
    """One part of a document, read as a stream. Names of elements are "namespace name"."""

    def fed(self, archive: zipfile.ZipFile, name: str) -> _Part:
        if name not in archive.namelist():
            return self
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.buffer_text = True
        parser.StartDoctypeDeclHandler = self._refuse
        parser.StartElementHandler = self.start
        parser.EndElementHandler = self.end
        parser.CharacterDataHandler = self.data
        with archive.open(name) as file:
            while piece := file.read(_PIECE_BYTES):
                parser.Parse(piece, False)
        parser.Parse(b"", True)
        return self

    @staticmethod
    def _refuse(*_: object) -> None:
        raise Unreadable("It contains a document type definition, which no Word document has. It is not read.")

    def start(self, name: str, attributes: dict[str, str]) -> None: ...

    def end(self, name: str) -> None: ...

    def data(self, text: str) -> None: ...


class _Styles(_Part):
    """Which styles are headings, and of which level; and which are items of lists."""

    def __init__(self) -> None:
        self.prefixes: dict[str, str] = {}
        self._style = ""

    def fed(self, archive: zipfile.ZipFile, name: str) -> _Styles:
        super().fed(archive, name)
        return self

    def start(self, name: str, attributes: dict[str, str]) -> None:
        value = attributes.get(f"{_WORD}val", "")
        if name == f"{_WORD}style":
            self._style = attributes.get(f"{_WORD}styleId", "")
        elif name == f"{_WORD}outlineLvl" and self._style and value in _LEVELS:
            self.prefixes[self._style] = "#" * _LEVELS[value] + " "
        elif name == f"{_WORD}numPr" and self._style:
            self.prefixes.setdefault(self._style, ITEM)
        elif name == f"{_WORD}name" and value.lower() == "title" and self._style:
            self.prefixes[self._style] = "# "


class _Body(_Part):
    """Paragraphs, headings, lists and tables, in their order."""

    def __init__(self, styles: _Styles, limits: Limits) -> None:
        self._out: list[str] = []
        self._last = ""
        self._styles = styles
        self._limits = limits
        self._length = 0
        self._paragraph: list[str] = []
        self._prefix = ""
        self._row: list[str] = []
        self._tables = self._fallbacks = 0
        self._in_text = False

    @property
    def text(self) -> str:
        return "".join(self._out)

    def fed(self, archive: zipfile.ZipFile, name: str) -> _Body:
        super().fed(archive, name)
        return self

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name == _FALLBACK:
            # What older programs show instead of the same text.
            self._fallbacks += 1
        elif name.startswith(_WORD) and not self._fallbacks:
            self._start(name.removeprefix(_WORD), attributes.get(f"{_WORD}val", ""))

    def _start(self, name: str, value: str) -> None:
        if name == "t":
            self._in_text = True
        elif name in ("tab", "br", "cr"):
            self._paragraph.append("\t" if name == "tab" else "\n")
        elif name == "pStyle":
            self._prefix = self._styles.prefixes.get(value, "")
        elif name == "numPr" and not self._prefix:
            self._prefix = ITEM
        elif name == "tbl":
            self._tables += 1

    def end(self, name: str) -> None:
        if name == _FALLBACK:
            self._fallbacks -= 1
        elif name.startswith(_WORD) and not self._fallbacks:
            self._end(name.removeprefix(_WORD))

    def _end(self, name: str) -> None:
        if name == "t":
            self._in_text = False
        elif name == "p":
            self._end_paragraph()
        elif name == "tr" and self._row:
            self._show(f"| {' | '.join(self._row)}", kind="row")
            self._row = []
        elif name == "tbl":
            self._tables -= 1
            self._last = ""

    def _end_paragraph(self) -> None:
        text = "".join(self._paragraph).strip()
        if text and self._tables:
            self._row.append(" ".join(text.split()))
        elif text:
            self._show(self._prefix + text, kind="item" if self._prefix == ITEM else "")
        self._paragraph, self._prefix = [], ""

    def _show(self, line: str, *, kind: str) -> None:
        """Rows of one table and items of one list stand below each other, without a blank line."""
        self._out.append(f"\n{line}" if kind and kind == self._last else f"\n\n{line}")
        self._last = kind

    def data(self, text: str) -> None:
        if self._in_text and not self._fallbacks:
            self._length += len(text)
            self._limits.check_length(self._length)
            self._paragraph.append(text)
