"""Errors of drivers are read in one place: nobody else catches or compares them by class, or lists what the system may
answer."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.structure.source import Module, Violation, called

RULE = "drivers"
DRIVERS = ("django.db.", "psycopg.", "psycopg_pool.", "redis.", "kombu.", "celery.", "amqp.", "botocore.",
           "agentapp.dispatch.redis_client.", "openai.", "httpx2.", "smtplib.", "http.client.")  # fmt: skip
ERRORS = ("Error", "Timeout", "Closed", "Exception", "Canceled", "NotAvailable", "Refused", "Disconnected")
# What Postgres or a broker answers to one question, and says nothing about whether it is there.
ANSWERS = frozenset(
    {"IntegrityError", "DataError", "ProgrammingError", "ChannelError", "AccessRefused", "DoesNotExist"}
)

# Errors of the system. One alone is a question to it; beside others they are a list of what somebody has foreseen.
OF_THE_SYSTEM = frozenset({"OSError", "IOError", "ConnectionError", "TimeoutError", "BrokenPipeError",
                           "ConnectionResetError", "ConnectionRefusedError", "ConnectionAbortedError"})  # fmt: skip


def check(module: Module) -> Iterator[Violation]:
    """Report handlers, `suppress`, `isinstance` and patterns that name a class of a driver's errors."""
    names = _names(module)
    for node in module.nodes:
        for kind in _kinds(node):
            dotted = _dotted(kind, names)
            if dotted.startswith(DRIVERS) and dotted.endswith(ERRORS) and dotted.split(".")[-1] not in ANSWERS:
                yield module.breaks(
                    RULE, kind, f"{dotted} is one of many: use faults.caught() or faults.of(), which read the code."
                )


def check_lists(module: Module) -> Iterator[Violation]:
    """Report handlers and `suppress` that name an error of the system beside others."""
    for node in module.nodes:
        found = [*_kinds(node)] if isinstance(node, ast.ExceptHandler) or _is_suppress(node) else []
        if len(found) > 1 and (named := {kind.id for kind in found if isinstance(kind, ast.Name)} & OF_THE_SYSTEM):
            sentence = f"{min(named)} stands in a list of what was foreseen: use faults.caught() or faults.of()."
            yield module.breaks(RULE, node, sentence)


def _is_suppress(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and called(node) == "suppress"


def _kinds(node: ast.AST) -> Iterator[ast.expr]:
    found: list[ast.expr | None] = []
    if isinstance(node, ast.ExceptHandler):
        found = [node.type]
    elif isinstance(node, ast.MatchClass):
        found = [node.cls]
    elif isinstance(node, ast.Call) and called(node) in {"isinstance", "issubclass"}:
        found = [*node.args[1:]]
    elif isinstance(node, ast.Call) and called(node) in {"suppress", "raises"}:
        found = [*node.args]
    for kind in found:
        yield from (item for item in ast.walk(kind) if isinstance(item, ast.Name | ast.Attribute)) if kind else ()


def _names(module: Module) -> dict[str, str]:
    """What each imported name stands for."""
    names: dict[str, str] = {}
    for node in module.nodes:
        if isinstance(node, ast.Import):
            names |= {alias.asname or alias.name: alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return names


def _dotted(node: ast.expr, names: dict[str, str]) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value, names)}.{node.attr}"
    return names.get(node.id, "") if isinstance(node, ast.Name) else ""
