"""Who sees the rows of all tenants does so in a few known places."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.structure.source import Module, Violation, called, receiver

RULE = "contexts"
ADVICE = "Use the tenants of who asks; if it is for the platform, add the file to PLATFORM_DOORS and say why."


def check(module: Module) -> Iterator[Violation]:
    """Report blocks, and requests, that see the rows of all tenants."""
    for node in module.nodes:
        if not isinstance(node, ast.Call):
            continue
        sees_all = receiver(node) == "tenant_context" and bool(node.args) and _is_none(node.args[0])
        if called(node) == "platform_rows" or sees_all:
            yield module.breaks(RULE, node, f"This sees the rows of all tenants. {ADVICE}")


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None
