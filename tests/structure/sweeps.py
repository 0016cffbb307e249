"""The dispatcher, and what services do for its duties, goes through items by one helper, which keeps a bad one from
stopping the others."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.structure.source import Module, Violation

RULE = "sweeps"
# What may raise for one item: a move, or the publishing of what it opened.
MOVES = ("agentapp.lifecycle", "agentapp.dispatch.publisher")
# Questions, which change nothing.
LOOKS = frozenset({"published_before", "suspects", "lost", "woken", "is_away", "is_locked"})
# What services do for a duty, and their loops that are within one item of its sweep.
OF_DUTIES = {
    "agentapp/services/approval_mails.py": {"_tell": "all mails of a tenant are one transaction"},
    "agentapp/services/schedule_runs.py": {"start_due": "each time of a schedule follows the one before"},
}
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.GeneratorExp, ast.DictComp)


def check(module: Module) -> Iterator[Violation]:
    """Report moves, and publishing, that a loop calls for its items itself."""
    movers = set(_movers(module))
    exempt = OF_DUTIES.get(module.path, {})
    seen = {
        inner for node in module.nodes if isinstance(node, ast.FunctionDef) and node.name in exempt
        for inner in ast.walk(node)
    }  # fmt: skip
    for loop in module.nodes:
        for node in (inner for part in _repeated(loop) for inner in ast.walk(part)):
            if isinstance(node, ast.Call) and node not in seen and (name := _moved(node, movers)):
                seen.add(node)
                sentence = f"{name}() in a loop: one bad item would stop the rest. Use Sweep.each()."
                yield module.breaks(RULE, node, sentence)


def _movers(module: Module) -> Iterator[str]:
    """The names under which a file knows moves."""
    for node in module.nodes:
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if f"{node.module}.{alias.name}".startswith(MOVES):
                    yield alias.asname or alias.name


def _repeated(loop: ast.AST) -> list[ast.AST]:
    """What a loop does again and again; what it goes through is asked once."""
    if isinstance(loop, ast.For):
        return list(loop.body)
    if isinstance(loop, ast.While):
        return [loop.test, *loop.body]
    if isinstance(loop, COMPREHENSIONS):
        done: list[ast.AST] = [loop.key, loop.value] if isinstance(loop, ast.DictComp) else [loop.elt]
        first, *rest = loop.generators
        return [*done, *first.ifs, *rest]
    return []


def _moved(node: ast.Call, movers: set[str]) -> str:
    function = node.func
    if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name) and function.value.id in movers:
        return "" if function.attr in LOOKS else f"{function.value.id}.{function.attr}"
    return function.id if isinstance(function, ast.Name) and function.id in movers else ""
