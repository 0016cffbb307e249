"""Who goes through a backlog takes so many of each queue: old jobs of one queue must not hide those of another.

Counting is no going through, and neither is walking from one queue to the next by LIMIT 1.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import pairwise

from tests.structure.moves import functions
from tests.structure.source import Module, Violation, called

RULE = "backlogs"
SENTENCE = "it goes through the backlog of all queues. Take so many of each: queue = ..., and a LIMIT."
JOBS = re.compile(r"\bFROM\s+agentapp_job\b", re.IGNORECASE)
WAITING = re.compile(r"\bstate\s*(?:=\s*'available'|IN\s*\()", re.IGNORECASE)
OF_ONE = re.compile(r"\b(?:id|workflow_id)\s*=", re.IGNORECASE)
COUNTED = re.compile(r"^\s*SELECT\b[^;]*?\b(?:count|min|max|sum|bool_or)\s*\(", re.IGNORECASE)
EXISTS = re.compile(r"\bEXISTS\s*$", re.IGNORECASE)
OF_A_QUEUE = re.compile(r"\bqueue\s*=", re.IGNORECASE)
LIMITED = re.compile(r"\bLIMIT\b", re.IGNORECASE)
ONE = re.compile(r"\bLIMIT\s+1\b(?!\d)", re.IGNORECASE)
UNION = re.compile(r"\bUNION\s+(?:ALL\b)?", re.IGNORECASE)
# Who goes through all queues together, and why none hides another.
EXEMPT = {
    "moves.backlog": "it counts what is published, by kind: the runway of each queue limits that",
    "moves.count_busy": "it counts the same",
    "moves.promote": "what it takes is not overtaken any more, so its next look finds the others",
    "published_before": "it is asked again until nothing is left",
}


def check_sql(path: str, text: str) -> Iterator[Violation]:
    """Report queries for available jobs that no queue and no LIMIT bounds."""
    for function in functions(path, text):
        for found in JOBS.finditer(function.body):
            before, query = _query(function.body, found.start())
            is_backlog = WAITING.search(query) and not OF_ONE.search(query)
            is_asked = EXISTS.search(before) or COUNTED.search(query) or ONE.search(query)
            is_bounded = OF_A_QUEUE.search(query) and LIMITED.search(query)
            if is_backlog and not is_asked and not is_bounded and function.name not in EXEMPT:
                violation = function.breaks(SENTENCE, at=found.start())
                yield Violation(RULE, violation.path, violation.line, violation.sentence)


def _query(body: str, at: int) -> tuple[str, str]:
    """What stands before the query around a place, and the query without what is in parentheses inside of it."""
    begin = at
    depth = 0
    while begin and not (depth == 0 and body[begin - 1] in "(;"):
        begin -= 1
        depth += {")": 1, "(": -1}.get(body[begin], 0)
    flat: list[str] = []
    where = depth = 0
    for place in range(begin, len(body)):
        letter = body[place]
        if depth == 0 and letter in ");":
            break
        if place == at:
            where = len(flat)
        depth += {"(": 1, ")": -1}.get(letter, 0)
        flat.append(letter if depth == 0 or (depth == 1 and letter == "(") else " ")
    query = "".join(flat)
    cuts = [0, *(cut.end() for cut in UNION.finditer(query)), len(query)]
    return body[:begin].rstrip("( \n"), next(query[a:b] for a, b in pairwise(cuts) if a <= where < b)


def check(module: Module) -> Iterator[Violation]:
    """Report the same of Django's queries, and of looks into a whole list of the broker."""
    for function in module.nodes:
        if isinstance(function, ast.FunctionDef) and function.name not in EXEMPT:
            calls = [node for node in ast.walk(function) if isinstance(node, ast.Call)]
            named = {keyword.arg for call in calls if called(call) == "filter" for keyword in call.keywords}
            is_bounded = "queue" in named and any(isinstance(node, ast.Slice) for node in ast.walk(function))
            for call in calls:
                if _is_backlog(call) and not is_bounded:
                    yield module.breaks(RULE, call, f"{function.name}(): {SENTENCE}")
                if called(call) == "lrange" and _numbers(call)[-2:] == [0, -1]:
                    yield module.breaks(RULE, call, f"{function.name}(): it reads a whole list. Say how much of it.")


def _is_backlog(call: ast.Call) -> bool:
    """Tell whether a call narrows a query to available jobs, and not to some that are named."""
    keywords = {keyword.arg: keyword.value for keyword in call.keywords}
    state = keywords.get("state") or keywords.get("state__in")
    is_available = state is not None and any(
        (isinstance(node, ast.Attribute) and node.attr == "AVAILABLE")
        or (isinstance(node, ast.Constant) and node.value == "available")
        for node in ast.walk(state)
    )
    return called(call) == "filter" and is_available and not {"pk", "pk__in", "workflow", "workflow_id"} & set(keywords)


def _numbers(call: ast.Call) -> list[object]:
    return [ast.literal_eval(argument) if _is_number(argument) else None for argument in call.args]


def _is_number(node: ast.expr) -> bool:
    inner = node.operand if isinstance(node, ast.UnaryOp) else node
    return isinstance(inner, ast.Constant)
