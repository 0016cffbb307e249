"""What `make docs` says of a page that would load something from another host."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from tests.structure.source import ROOT

FOREIGN = runpy.run_path(str(ROOT / "deploy" / "release" / "foreign.py"), run_name="foreign")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.html", "<script defer src='https://other.example.org/x.js'></script>"),
        ("a.html", '<link href="//other.example.org/x.css" rel="stylesheet">'),
        ("a.html", '<link rel="preconnect" href="https://other.example.org/x">'),
        ("a.html", '<img alt="" src=http://other.example.org/x.png>'),
        ("a.html", "<style>@import 'https://other.example.org/x.css';</style>"),
        ("a.html", '<p style="background: url(//other.example.org/x.png)">'),
        ("a.css", "@font-face { src: url( 'https://other.example.org/x.woff2' ) }"),
    ],
)
def test_what_is_loaded_from_another_host_is_named(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)

    (line,) = FOREIGN["in_site"](tmp_path)
    assert line.startswith(f"{name} loads ")
    assert "//other.example.org/x" in line


def test_links_and_what_lies_beside_a_page_are_no_concern(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(
        '<link rel="canonical" href="https://other.example.org/"><a href="https://other.example.org/">there</a>'
        '<script src="_static/x.js"></script><link rel="stylesheet" href="../x.css"><img src="data:,//">'
    )
    (tmp_path / "a.css").write_text("a { background: url(x.png) }")

    assert not list(FOREIGN["in_site"](tmp_path))
