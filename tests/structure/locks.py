"""Who goes over rows of many tasks waits for none that somebody else holds: one locked row would stop all tasks.

In SQL a statement names the task or the row that it locks, or says SKIP LOCKED. In Python a lock is taken within
`database.atomic()`, which waits no longer than a move of its thread.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from tests.structure.moves import Function, functions
from tests.structure.source import Module, Violation, called, receiver

RULE = "locks"
ROWS = r"(?:agentapp_(?:workflow|job|stage|approval|effect|attempt|bulkreplay)|moves\.task)"
LOCKING = re.compile(rf"\bFROM\s+{ROWS}\b[^;]*?\bFOR\s+(?:NO\s+KEY\s+UPDATE|UPDATE|SHARE)\b[^;)]*", re.IGNORECASE)
WRITING = re.compile(rf"\b(?:UPDATE|DELETE\s+FROM)\s+{ROWS}\b[^;]*", re.IGNORECASE)
SKIPS = re.compile(r"\bSKIP\s+LOCKED\b", re.IGNORECASE)
# One row, or the rows of one task or job; or of the tasks of a parameter, which its caller has locked.
NAMED = re.compile(
    r"\b(?:id|workflow_id|job_id|key)\s*=\s*(?!ANY\b)\(*(\w+)|\bmoves\.uncertain_effects\(j\)"
    r"|\bworkflow_id\s*=\s*ANY\(p_\w+\)|\barray_position\(p_\w+, workflow_id\)",
    re.IGNORECASE,
)
LOOP = re.compile(r"\bLOOP\b.*?\bEND\s+LOOP\b", re.IGNORECASE | re.DOTALL)
LOCK_TASK = re.compile(r"\bmoves\.lock_task\(", re.IGNORECASE)
# Functions that wait for the rows of a list, and why that is right.
EXEMPT = {"moves.lock_tasks": "it waits where its list has one request alone"}
WRITES = frozenset({"delete", "update", "save", "bulk_update", "bulk_create", "update_or_create", "get_or_create"})
# What makes or narrows a query of Django's, so that a dictionary's update() and a storage's delete() are none.
QUERIES = frozenset({"objects", "_default_manager", "filter", "exclude", "order_by", "all", "only"})
PATIENT = frozenset({"skip_locked", "nowait"})


def check_sql(path: str, text: str) -> Iterator[Violation]:
    """Report statements that lock or write rows of many tasks and wait for each."""
    for function in functions(path, text):
        if function.name in EXEMPT:
            continue
        for found in [*LOCKING.finditer(function.body), *WRITING.finditer(function.body)]:
            if not _is_of_one_task(found[0], function.body):
                yield _breaks(function, found.start(), "it waits for rows of many tasks. Say SKIP LOCKED.")
        for loop in LOOP.finditer(function.body):
            if found_lock := LOCK_TASK.search(loop[0]):
                at = loop.start() + found_lock.start()
                yield _breaks(function, at, "it waits for one task after the other. Sweep them in Python.")


def _breaks(function: Function, at: int, sentence: str) -> Violation:
    found = function.breaks(sentence, at=at)
    return Violation(RULE, found.path, found.line, found.sentence)


def _is_of_one_task(statement: str, body: str) -> bool:
    """Tell whether a statement names its rows, or passes over those that are locked. `WHERE j.id = found.id` says as
    much as the query `found` that stands before it."""
    if SKIPS.search(statement):
        return True
    names: list[str] = NAMED.findall(statement.partition("RETURNING")[0])
    queries = {name: query for name in names if name and (query := _query(name, body))}
    return any(name not in queries for name in names) or any(_is_of_one_task(query, "") for query in queries.values())


def _query(name: str, body: str) -> str:
    """The text of `WITH name AS (...)`, or ""."""
    begin = re.search(rf"\b{name}\s+AS\s+(?:MATERIALIZED\s+)?\(", body, re.IGNORECASE)
    if begin is None:
        return ""
    depth, at = 1, begin.end()
    while depth and at < len(body):
        depth += {"(": 1, ")": -1}.get(body[at], 0)
        at += 1
    return body[begin.end() : at]


def check(module: Module) -> Iterator[Violation]:
    """Report locks and writes of Django's that stand outside of `database.atomic()`."""
    bounded = {
        node
        for block in module.nodes
        if isinstance(block, ast.With) and any(_is_bounded(item.context_expr) for item in block.items)
        for statement in block.body
        for node in ast.walk(statement)
    }
    for node in module.nodes:
        if isinstance(node, ast.Call) and node not in bounded and (what := _locks(node)):
            sentence = f"{what} waits for a row as long as somebody holds it. Put it into database.atomic()."
            yield module.breaks(RULE, node, sentence)


def _is_bounded(context: ast.expr) -> bool:
    """`bulk_work.locked()` is such a block too, around the row that it has locked."""
    if not isinstance(context, ast.Call):
        return False
    return called(context) == "locked" or (called(context) == "atomic" and receiver(context) == "database")


def _locks(node: ast.Call) -> str:
    """What a call locks rows with, or ""."""
    name, on = called(node), receiver(node)
    if name == "select_for_update":
        is_patient = any(keyword.arg in PATIENT for keyword in node.keywords)
        return "" if is_patient else "select_for_update()"
    if name in {"execute", "executemany"} and node.args and _writes(node.args[0]):
        return f"{name}()"
    if name in {"save", "delete"} and isinstance(node.func, ast.Attribute) and on == "row":
        return f"{name}()"
    return f"{name}()" if name in WRITES and on in QUERIES else ""


def _writes(statement: ast.expr) -> bool:
    """A statement that is not written out may write."""
    if isinstance(statement, ast.Constant):
        return re.match(r"\s*(UPDATE|DELETE|INSERT)\b", str(statement.value), re.IGNORECASE) is not None
    return isinstance(statement, ast.Name)
