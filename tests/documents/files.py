"""Files made by hand: whole ones, and ones that were damaged, wrapped or built to break a reader."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable
from io import BytesIO

import docx
from pypdf import PdfReader, PdfWriter
from pypdf.generic import NameObject

WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
SENTENCE = "A refund is paid within five days."


def pdf(*pages: str, title: str = "") -> bytes:
    """A PDF with a line of text on each page."""
    count = len(pages)
    kids = " ".join(f"{3 + 2 * at} 0 R" for at in range(count))
    font = 3 + 2 * count
    objects = [b"<< /Type /Catalog /Pages 2 0 R >>", f"<< /Type /Pages /Kids [{kids}] /Count {count} >>".encode()]
    for at, text in enumerate(pages):
        drawn = f"BT /F1 12 Tf 72 700 Td ({text}) Tj ET".encode("latin-1")
        objects += [
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] /Contents {4 + 2 * at} 0 R "
            f"/Resources << /Font << /F1 {font} 0 R >> >> >>".encode(),
            b"<< /Length %d >>\nstream\n%s\nendstream" % (len(drawn), drawn),
        ]
    objects += [b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>", f"<< /Title ({title}) >>".encode()]
    return _numbered(objects)


def _numbered(objects: list[bytes], *, more: bytes = b"") -> bytes:
    out, places = BytesIO(b""), []
    out.write(b"%PDF-1.4\n")
    for number, content in enumerate(objects, 1):
        places.append(out.tell())
        out.write(b"%d 0 obj\n%s\nendobj\n" % (number, content))
    start = out.tell()
    out.write(b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1))
    for place in places:
        out.write(b"%010d 00000 n \n" % place)
    out.write(
        b"trailer\n<< /Size %d /Root 1 0 R /Info %d 0 R %s >>\nstartxref\n%d\n%%%%EOF\n"
        % (len(objects) + 1, len(objects), more, start)
    )
    return out.getvalue()


def encrypted_pdf(password: str, *, owner: str = "owner") -> bytes:
    return _written(PdfReader(BytesIO(pdf(SENTENCE))), lambda writer: writer.encrypt(password, owner))


def blank_pdf(pages: int) -> bytes:
    writer = PdfWriter()
    for _ in range(pages):
        writer.add_blank_page(width=100, height=100)
    return _saved(writer)


def _written(reader: PdfReader, change: Callable[[PdfWriter], object]) -> bytes:
    writer = PdfWriter(clone_from=reader)
    change(writer)
    return _saved(writer)


def _saved(writer: PdfWriter) -> bytes:
    out = BytesIO()
    writer.write(out)
    return out.getvalue()


def circular_pdf() -> bytes:
    """The tree of its pages leads back to its root."""
    return _numbered(
        [b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [2 0 R] /Count 1 >>", b"<< /Title (Round) >>"]
    )


def deep_pdf() -> bytes:
    """Brackets in brackets."""
    return _numbered([b"[" * 100_000 + b"]" * 100_000, b"<< >>", b"<< /Title (Deep) >>"])


def bomb_pdf(megabytes: int = 100) -> bytes:
    """A page whose content is packed a thousandfold."""
    packed = zlib.compress(b" " * (megabytes * 1_000_000), 9)
    page = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] /Contents 4 0 R /Resources << >> >>"
    stream = b"<< /Length %d /Filter /FlateDecode >>\nstream\n%s\nendstream" % (len(packed), packed)
    catalogue = [b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>"]
    return _numbered([*catalogue, page, stream, b"<< /Title (Bomb) >>"])


def odd_pdf() -> bytes:
    """Its page has a number where its content should be."""
    return _written(
        PdfReader(BytesIO(pdf(SENTENCE))),
        lambda writer: writer.pages[0].update({NameObject("/Contents"): NameObject("/Nothing")}),
    )


def word(*, heading: str = "Refunds", paragraph: str = SENTENCE) -> bytes:
    """A document as Word itself would write it, with a heading, lists and a table."""
    made = docx.Document()
    made.add_heading(heading, 1)
    made.add_paragraph(paragraph)
    for item in ("by card", "by transfer"):
        made.add_paragraph(item, style="List Bullet")
    table = made.add_table(rows=2, cols=2)
    for row, texts in zip(table.rows, (("Plan", "Days"), ("Basic", "5")), strict=True):
        for cell, text in zip(row.cells, texts, strict=True):
            cell.text = text
    out = BytesIO()
    made.save(out)
    return out.getvalue()


def part(body: str, *, before: str = "") -> str:
    return f'<?xml version="1.0"?>{before}<w:document xmlns:w="{WORD}"><w:body>{body}</w:body></w:document>'


def paragraphs(*texts: str) -> str:
    return "".join(f"<w:p><w:r><w:t>{text}</w:t></w:r></w:p>" for text in texts)


def packed(parts: dict[str, bytes | str], *, compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return out.getvalue()


def bare_word(body: str, *, before: str = "", more: dict[str, bytes | str] | None = None) -> bytes:
    text = part(body, before=before)
    return packed({"[Content_Types].xml": "<Types/>", "word/document.xml": text, **(more or {})})


def bomb_word(megabytes: int = 25) -> bytes:
    """A picture that is packed a thousandfold."""
    return bare_word(paragraphs(SENTENCE), more={"word/media/a.png": b"\0" * (megabytes * 1_000_000)})


def lying_word() -> bytes:
    """Its text unpacks to more than the archive says of it."""
    made = bytearray(bare_word(paragraphs("word " * 100_000)))
    name = b"word/document.xml"
    entry = made.rindex(name) - 46
    made[entry + 24 : entry + 28] = (1_000).to_bytes(4, "little")
    return bytes(made)


def protected_word() -> bytes:
    """The flag of encryption on each part."""
    made = bytearray(bare_word(paragraphs(SENTENCE)))
    at = made.find(b"PK\x01\x02")
    while at >= 0:
        made[at + 8] |= 1
        at = made.find(b"PK\x01\x02", at + 4)
    return bytes(made)


LAUGHS = "<!DOCTYPE lolz [" + "".join(
    f'<!ENTITY a{at} "{f"&a{at - 1};" * 10 if at else "ha"}">' for at in range(10)
) + "]>"  # fmt: skip
OUTSIDE = '<!DOCTYPE x [<!ENTITY secret SYSTEM "file:///etc/passwd">]>'
