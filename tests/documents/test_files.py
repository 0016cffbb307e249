"""Files of all kinds: the text, or a sentence that says why there is none. Never a dead worker, never a hang."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from agentapp.errors import InvalidInput, TimedOut, TransientError
from agentapp.policies import file_types
from agentapp.retrieval.parsing import process
from agentapp.retrieval.parsing.limits import Limits, Unreadable
from tests.documents import files
from tests.documents.files import SENTENCE, bare_word, paragraphs, pdf

LIMITS = Limits(memory_mb=300, cpu_s=20, wall_s=120, pages=2_000, expanded_bytes=20_000_000, characters=1_000_000)
PAGE = f"<!doctype html><html><head><title>Refunds</title></head><body>{{}}<p>{SENTENCE}</p></body></html>"
SLOW = b"<html>" + b"<p>a" * 1_000_000
Make = Callable[[], bytes]


def told(data: bytes, name: str, declared: str = "", charset: str = "", within: Limits = LIMITS) -> process.Parsed:
    """What an uploader is told of a file, at once or later: its text, or InvalidInput or Unreadable with a sentence."""
    kind = file_types.decide(data, declared=declared, name=name)
    return process.parse(data, file_type=kind, charset=charset, within=within)


READABLE: dict[str, tuple[Make, str, str]] = {
    "text": (lambda: SENTENCE.encode(), "a.txt", SENTENCE),
    "text with a name that says nothing": (lambda: SENTENCE.encode(), "a.log", SENTENCE),
    "text without a name": (lambda: SENTENCE.encode(), "crm:42", SENTENCE),
    "text with a mark": (lambda: b"\xef\xbb\xbf" + SENTENCE.encode(), "a.txt", SENTENCE),
    "text in UTF-16": (lambda: "Grüße".encode("utf-16"), "a.txt", "Grüße"),
    "text that ends within no line": (lambda: b"a\r\nb\rc", "a.txt", "a\r\nb\rc"),
    "text of one very long line": (lambda: b"word " * 150_000, "a.txt", "word word"),
    "Markdown": (lambda: b"# Refunds\n\nPaid.\n", "a.md", "# Refunds\n\nPaid."),
    "Markdown with HTML in it": (lambda: b"# A\n\n<div>b</div>\n", "a.md", "<div>b</div>"),
    "HTML": (lambda: PAGE.format("<h2>How</h2>").encode(), "a.html", f"## How\n\n{SENTENCE}"),
    "HTML in Latin-1 that says so": (
        lambda: b'<html><meta charset="latin-1"><p>Gr\xfc\xdfe</p>', "a.html", "Grüße",
    ),
    "a piece of HTML": (lambda: b"<p>One</p><ul><li>two<li>three</ul>", "a.html", "One\n\n- two\n- three"),
    "HTML with scripts": (
        lambda: PAGE.format("<script>alert('x')</script><style>p {}</style>").encode(), "a.html", SENTENCE,
    ),
    "HTML with a menu that is never closed": (lambda: PAGE.format("<nav>Home").encode(), "a.html", SENTENCE),
    "HTML nested 200,000 deep": (
        lambda: PAGE.format("<div>" * 200_000).encode(), "a.html", SENTENCE,
    ),
    "HTML with a table and code": (
        lambda: b"<html><table><tr><th>Plan<th>Days<tr><td>Basic<td>5</table><pre>a\n  b</pre>", "a.html",
        "| Plan | Days\n| Basic | 5\n\n```\na\n  b\n```",
    ),
    "PDF": (lambda: pdf(SENTENCE, "Second."), "a.pdf", f"# Page 1\n\n{SENTENCE}\n\n# Page 2\n\nSecond."),
    "PDF behind something else": (lambda: b"\n\n" + pdf(SENTENCE), "a.pdf", SENTENCE),
    "PDF that only its owner may change": (lambda: files.encrypted_pdf(""), "a.pdf", SENTENCE),
    "PDF whose table of objects is elsewhere": (
        lambda: pdf(SENTENCE).replace(b"startxref\n", b"startxref\n9"), "a.pdf", SENTENCE,
    ),
    "DOCX": (
        files.word, "a.docx", f"# Refunds\n\n{SENTENCE}\n\n- by card\n- by transfer\n\n| Plan | Days\n| Basic | 5",
    ),
    "DOCX with nothing but its text": (lambda: bare_word(paragraphs("a", "b")), "a.docx", "a\n\nb"),
    "DOCX nested 50,000 deep": (
        lambda: bare_word("<w:sdt>" * 50_000 + paragraphs(SENTENCE) + "</w:sdt>" * 50_000), "a.docx", SENTENCE,
    ),
    "DOCX whose text is there twice": (
        lambda: bare_word(
            '<mc:AlternateContent xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"><mc:Choice>'
            + paragraphs("once") + "</mc:Choice><mc:Fallback>" + paragraphs("twice")
            + "</mc:Fallback></mc:AlternateContent>"
        ), "a.docx", "once",
    ),
}  # fmt: skip

UNREADABLE: dict[str, tuple[Make, str, str]] = {
    "nothing as text": (lambda: b"", "a.txt", "empty"),
    "nothing as Markdown": (lambda: b" \n\t", "a.md", "empty"),
    "nothing as HTML": (lambda: b"", "a.html", "empty"),
    "nothing as PDF": (lambda: b"", "a.pdf", "empty"),
    "nothing as DOCX": (lambda: b"", "a.docx", "empty"),
    "HTML without text": (lambda: b"<html><script>1</script></html>", "a.html", "no text"),
    "PDF without text": (lambda: files.blank_pdf(1), "a.pdf", "only pictures"),
    "DOCX without text": (lambda: bare_word(""), "a.docx", "no text"),
    "text that is not UTF-8": (lambda: "Grüße".encode("latin-1"), "a.txt", "byte 2 is not"),
    "half of UTF-16": (lambda: "Grüße".encode("utf-16")[:-1], "a.txt", "cannot be read as UTF-16"),
    "HTML in no known character set": (lambda: b"<html><meta charset=klingon><p>a", "a.html", "klingon is not known"),
    "bytes": (lambda: bytes(range(256)), "a.bin", "bytes that no text has"),
    "a text that is too long": (lambda: b"word " * 200_001, "a.txt", "more than 1,000,000 characters"),
    "a picture named as PDF": (lambda: b"\x89PNG\r\n\x1a\n", "a.pdf", "picture"),
    "an old Word file": (lambda: b"\xd0\xcf\x11\xe0" + bytes(500), "a.docx", "old Word file"),
    "RTF named as DOCX": (lambda: b"{\\rtf1 a}", "a.docx", "RTF"),
    "PDF named as DOCX": (lambda: pdf(SENTENCE), "a.docx", "content is PDF"),
    "DOCX named as PDF": (files.word, "a.pdf", "content is Word"),
    "text named as PDF": (lambda: SENTENCE.encode(), "a.pdf", "sent as PDF"),
    "HTML named as Markdown": (lambda: PAGE.encode(), "a.md", "content is HTML"),
    "HTML named as DOCX": (lambda: PAGE.encode(), "a.docx", "content is HTML"),
    "PDF with a password": (lambda: files.encrypted_pdf("secret"), "a.pdf", "password"),
    "half a PDF": (lambda: pdf(SENTENCE)[:200], "a.pdf", ""),
    "the begin of a PDF": (lambda: b"%PDF-1.7\n", "a.pdf", "damaged"),
    "PDF of 10,000 pages": (lambda: files.blank_pdf(10_000), "a.pdf", "10,000 pages"),
    "PDF whose pages go in a circle": (files.circular_pdf, "a.pdf", ""),
    "PDF nested 100,000 deep": (files.deep_pdf, "a.pdf", ""),
    "PDF bomb": (files.bomb_pdf, "a.pdf", ""),
    "PDF with nothing where its text should be": (files.odd_pdf, "a.pdf", ""),
    "half a DOCX": (lambda: files.word()[:2_000], "a.docx", "damaged"),
    "DOCX with a damaged part": (
        lambda: files.packed({"word/document.xml": b"<w:document"}), "a.docx", "no XML",
    ),
    "ZIP that is no DOCX": (lambda: files.packed({"notes.txt": "a"}), "a.docx", "no Word document"),
    "DOCX with a password": (files.protected_word, "a.docx", "password"),
    "zip bomb": (files.bomb_word, "a.docx", "Unpacked it has"),
    "DOCX that says it is smaller than it is": (files.lying_word, "a.docx", "damaged"),
    "DOCX of 10,001 parts": (
        lambda: bare_word("", more={f"a{at}": "" for at in range(10_001)}), "a.docx", "parts",
    ),
    "DOCX with a thousand million laughs": (
        lambda: bare_word(paragraphs("&a9;"), before=files.LAUGHS), "a.docx", "document type definition",
    ),
    "DOCX that asks for a file of ours": (
        lambda: bare_word(paragraphs("&secret;"), before=files.OUTSIDE), "a.docx", "document type definition",
    ),
    "DOCX with a text that is too long": (
        lambda: bare_word(paragraphs(*["word " * 1_000] * 201)), "a.docx", "more than 1,000,000 characters",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", READABLE)
def test_a_file_is_read(name: str) -> None:
    make, source, text = READABLE[name]

    assert text in told(make(), source).text


@pytest.mark.parametrize("name", UNREADABLE)
def test_a_file_that_cannot_be_read_is_refused_in_a_sentence(name: str) -> None:
    make, source, words = UNREADABLE[name]

    with pytest.raises((Unreadable, InvalidInput)) as refused:
        told(make(), source)

    assert words in str(refused.value)
    assert str(refused.value).endswith((".", ").")) and "Traceback" not in str(refused.value)


def test_there_are_forty_files_and_more() -> None:
    assert len(READABLE) + len(UNREADABLE) >= 40


def test_a_page_shows_nothing_that_its_reader_does_not_see() -> None:
    page = PAGE.format("<script>let a = 1</script><nav>Home</nav><template>no</template><noscript>turn on</noscript>")

    assert told(page.encode(), "a.html") == process.Parsed("Refunds", SENTENCE)


def test_a_pdf_has_a_title_of_its_own() -> None:
    assert told(pdf(SENTENCE, title="Refunds"), "a.pdf").title == "Refunds"


def test_a_declared_type_helps_and_a_wrong_one_is_an_error() -> None:
    assert file_types.decide(b"<p>a", declared="text/html") is file_types.FileType.HTML
    assert file_types.decide(b"a", declared="text/plain", name="a.md") is file_types.FileType.MARKDOWN
    assert file_types.decide(pdf("a"), declared="application/octet-stream") is file_types.FileType.PDF
    for declared in ("application/pdf", "image/png", "text/html; charset=utf-8"):
        with pytest.raises(InvalidInput):
            file_types.decide(b"a", declared=declared)


def test_a_file_that_takes_too_long_is_refused() -> None:
    limits = Limits(memory_mb=2_000, cpu_s=1, wall_s=120, pages=1, expanded_bytes=1, characters=10_000_000)

    with pytest.raises(Unreadable, match="more than 1 second of processor time"):
        told(SLOW, "a.html", within=limits)


def test_a_file_that_takes_too_much_memory_is_refused() -> None:
    limits = Limits(memory_mb=120, cpu_s=20, wall_s=120, pages=1, expanded_bytes=1, characters=100_000_000)

    with pytest.raises(Unreadable, match=r"more than 120 MB of memory|read it crashed"):
        told(b"word " * 20_000_000, "a.txt", within=limits)


def test_a_machine_that_stands_still_is_no_fault_of_the_file() -> None:
    limits = Limits(memory_mb=2_000, cpu_s=20, wall_s=0, pages=1, expanded_bytes=1, characters=10_000_000)

    with pytest.raises(TimedOut):
        told(SLOW, "a.html", within=limits)


def test_a_reader_that_is_killed_is_tried_again() -> None:
    with pytest.raises(TransientError):
        process._understood(-9, b"", LIMITS)


def test_a_file_that_is_cancelled_is_not_read_to_its_end() -> None:
    class Stop(Exception): ...

    def check() -> None:
        raise Stop

    with pytest.raises(Stop):
        process.parse(
            SLOW, file_type=file_types.FileType.HTML, check=check,
            within=Limits(memory_mb=2_000, cpu_s=60, wall_s=120, pages=1, expanded_bytes=1, characters=10_000_000),
        )  # fmt: skip


def test_the_reader_has_no_credentials_in_its_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Another program in its place tells what it finds."""
    monkeypatch.setenv("AGENTAPP_EMBEDDING_KEY", "sk-secret")
    program = tmp_path / "reader"
    told_of = 'import json, os; print(json.dumps({"title": "", "text": " ".join(sorted(os.environ))}))'
    program.write_text(f"#!{sys.executable}\n{told_of}\n")
    program.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(program))

    assert set(told(b"a", "a.txt").text.split()) <= {"LANG", "LC_CTYPE", "PATH", "PYTHONPATH"}
