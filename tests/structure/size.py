"""How long a file and a function may be."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterator, Mapping

from tests.structure.source import Module, Violation

RULE = "size"
SQL_FUNCTION = re.compile(r"^CREATE (?:OR REPLACE )?FUNCTION ([\w.]+).*?(\$\w*\$).*?\2", re.DOTALL | re.MULTILINE)


def check(module: Module, *, file_lines: int, function_lines: int) -> Iterator[Violation]:
    """Report files and functions with more lines than that; decorators do not count, docstrings do."""
    lines = module.text.count("\n")
    if lines > file_lines:
        yield module.breaks(RULE, module.tree, f"The file has {lines} lines, at most {file_lines} are allowed.")
    for node in ast.walk(module.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > function_lines:
                sentence = (
                    f"{node.name}() has {lines} lines, at most {function_lines} are allowed: it is two functions."
                )
                yield module.breaks(RULE, node, sentence)


def check_sql(
    files: Mapping[str, str], *, file_lines: int, function_lines: int, allowed: Collection[str] = ()
) -> Iterator[Violation]:
    """Report the same of SQL: texts by path. A function is what stands from its CREATE to the closing $$.

    `allowed` names files and functions that are too long today. One that no longer is has to go from that list.
    """
    found = [each for path, text in files.items() for each in _long_sql(path, text, file_lines, function_lines)]
    yield from (violation for name, violation in found if name not in allowed)
    for name in sorted(set(allowed) - {name for name, _ in found}):
        yield Violation(RULE, name, 1, "It is short enough: remove it from the list of what may be longer.")


def _long_sql(path: str, text: str, file_lines: int, function_lines: int) -> Iterator[tuple[str, Violation]]:
    """Yield what is too long, with the path of the file or the name of the function."""
    lines = len(text.splitlines())
    if lines > file_lines:
        yield path, Violation(RULE, path, 1, f"The file has {lines} lines, at most {file_lines} are allowed.")
    for found in SQL_FUNCTION.finditer(text):
        lines = found[0].count("\n") + 1
        if lines > function_lines:
            sentence = f"{found[1]} has {lines} lines, at most {function_lines} are allowed: it is two functions."
            yield found[1], Violation(RULE, path, text.count("\n", 0, found.start()) + 1, sentence)
