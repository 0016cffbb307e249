"""Numbers that somebody else wrote are read by one function, which knows their bounds."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.structure.source import Module, Violation

RULE = "numbers"
# Where what comes from clients, people and providers is read.
PLACES = (
    "agentapp/admin/", "agentapp/api/", "agentapp/console/", "agentapp/delivery/", "agentapp/dispatch/broker.py",
    "agentapp/llm/", "agentapp/management/", "agentapp/mcp_server/", "agentapp/policies/", "agentapp/retrieval/",
    "agentapp/runtime/", "agentapp/services/", "agentapp/streams/", "agentapp/tools/", "tasks/",
)  # fmt: skip
# A row of ours was read already when it was written.
OURS = "row"


def check(module: Module) -> Iterator[Violation]:
    """Report int() and float() on anything but a constant, a calculation, or a field of a row."""
    if not module.stands_in(*PLACES):
        return
    for node in module.nodes:
        if isinstance(node, ast.Call) and (name := _reader(node)):
            yield module.breaks(RULE, node, f"{name}() takes NaN and endless digits: use bounds.number() or whole().")


def _reader(node: ast.Call) -> str:
    """The name of what reads a foreign number here, or ""."""
    name = node.func.id if isinstance(node.func, ast.Name) and node.func.id in {"int", "float"} else ""
    given = node.args[0] if len(node.args) == 1 else None
    is_foreign = isinstance(given, ast.Name | ast.Attribute | ast.Subscript | ast.Call) and _root(given) != OURS
    return name if is_foreign else ""


def _root(node: ast.expr) -> str:
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""
