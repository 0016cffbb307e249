"""How long a file and a function may be."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from tests.structure.source import Module, Violation

RULE = "size"
SQL_FUNCTION = re.compile(r"^CREATE (?:OR REPLACE )?FUNCTION ([\w.]+).*?(\$\w*\$).*?\2", re.DOTALL | re.MULTILINE)


def check_file(module: Module, *, file_lines: int) -> Iterator[Violation]:
    """Report a file with more lines than that."""
    lines = module.text.count("\n")
    if lines > file_lines:
        yield module.breaks(RULE, module.tree, f"The file has {lines} lines, at most {file_lines} are allowed.")


def check(module: Module, *, file_lines: int, function_lines: int) -> Iterator[Violation]:
    """Report files and functions with more lines than that; decorators do not count, docstrings do."""
    yield from check_file(module, file_lines=file_lines)
    for node in module.nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > function_lines:
                sentence = (
                    f"{node.name}() has {lines} lines, at most {function_lines} are allowed: it is two functions."
                )
                yield module.breaks(RULE, node, sentence)


def check_sql(path: str, text: str, *, file_lines: int, function_lines: int) -> Iterator[Violation]:
    """Report the same of SQL. A function is what stands from its CREATE to the closing $$."""
    lines = len(text.splitlines())
    if lines > file_lines:
        yield Violation(RULE, path, 1, f"The file has {lines} lines, at most {file_lines} are allowed.")
    for found in SQL_FUNCTION.finditer(text):
        lines = found[0].count("\n") + 1
        if lines > function_lines:
            sentence = f"{found[1]} has {lines} lines, at most {function_lines} are allowed: it is two functions."
            yield Violation(RULE, path, text.count("\n", 0, found.start()) + 1, sentence)
