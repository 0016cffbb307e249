"""No test asserts what a clock on the wall has measured: a machine that is busy with other work would break it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from tests.structure.source import Module, Violation, called

RULE = "stopwatch"
CLOCKS = frozenset({"monotonic", "perf_counter", "process_time", "monotonic_ns", "perf_counter_ns"})
# Of times that somebody else has measured: a percentile, or how long a thing took.
MEASURES = re.compile(r"^(p\d\d(_m?s)?|quantiles|median|elapsed(_m?s)?|took(_m?s)?|latencies(_m?s)?)$")
# A file without any of them has nothing to report; to parse it takes much longer than to see that.
_ANY = re.compile(rf"\b(?:{'|'.join(sorted(CLOCKS))}|{MEASURES.pattern.strip('^$')})\b")
ADVICE = "Assert order or counts; hold the time in the long form with scale.timed()."


def check(module: Module) -> Iterator[Violation]:
    """Report asserts that hold a time from above. A deadline of a wait is none, and a lower bound harms nobody."""
    if not _ANY.search(module.text):
        return
    for scope in module.nodes:
        if isinstance(scope, ast.FunctionDef):
            measured = _measured(scope)
            for node in ast.walk(scope):
                if isinstance(node, ast.Assert) and _is_timed(node.test, measured):
                    yield module.breaks(RULE, node, f"A time is asserted. {ADVICE}")


def _measured(scope: ast.FunctionDef) -> set[str]:
    """The names that hold a difference of two readings of a clock."""
    found: set[str] = set()
    for node in ast.walk(scope):
        if isinstance(node, ast.Assign) and _has_difference(node.value):
            found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return found


def _has_difference(tree: ast.AST) -> bool:
    return any(
        isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub) and _reads_clock(node.left)
        for node in ast.walk(tree)
    )


def _reads_clock(tree: ast.AST) -> bool:
    return any(isinstance(node, ast.Call) and called(node) in CLOCKS for node in ast.walk(tree))


def _is_timed(test: ast.AST, measured: set[str]) -> bool:
    for node in ast.walk(test):
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            for operator, left, right in zip(node.ops, sides, sides[1:], strict=False):
                upper = left if isinstance(operator, ast.Lt | ast.LtE) else right
                if isinstance(operator, ast.Lt | ast.LtE | ast.Gt | ast.GtE) and _is_measure(upper, measured):
                    return True
    return False


def _is_measure(side: ast.AST, measured: set[str]) -> bool:
    names = {node.id for node in ast.walk(side) if isinstance(node, ast.Name)}
    names |= {node.attr for node in ast.walk(side) if isinstance(node, ast.Attribute)}
    return bool(names & measured) or any(MEASURES.match(name) for name in names) or _has_difference(side)
