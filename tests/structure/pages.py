"""Tests wait for what a browser shows: what they read at once may be the page before, or one without its scripts."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.structure.source import Module, Violation, called, receiver

RULE = "pages"
HOME = "tests/browser.py"
# What Playwright answers at once; `expect` waits for each of them.
MOMENTS = frozenset(
    {"get_attribute", "inner_text", "input_value", "is_checked", "is_disabled", "is_enabled", "is_hidden", "is_visible",
     "text_content"}
)  # fmt: skip


def check(module: Module) -> Iterator[Violation]:
    """Report keys pressed before a page has its scripts, asserts about one moment of it, and waiting by eval."""
    if module.stands_in(HOME) or "playwright" not in module.text:
        return
    pages = {node.arg for node in module.nodes if isinstance(node, ast.arg) and _is_page(node.annotation)}
    for node in module.nodes:
        if isinstance(node, ast.Call) and called(node) == "press" and receiver(node) == "keyboard":
            yield module.breaks(RULE, node, "The page may have no script yet that hears the key: use browser.press().")
        if isinstance(node, ast.Call) and called(node) == "wait_for_function":
            yield module.breaks(RULE, node, "It asks again by eval, which our pages forbid: use browser.until().")
        if isinstance(node, ast.Assert):
            for part in ast.walk(node.test):
                if name := _moment(part, pages):
                    yield module.breaks(RULE, node, f"{name} is read before the page is there: use expect().")


def _moment(node: ast.AST, pages: set[str]) -> str:
    """The name of what is read of a page at one moment, or ""."""
    if isinstance(node, ast.Call) and called(node) in MOMENTS:
        return called(node)
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in pages:
        return "url" if node.attr == "url" else ""
    return ""


def _is_page(annotation: ast.expr | None) -> bool:
    return isinstance(annotation, ast.Name) and annotation.id == "Page"
