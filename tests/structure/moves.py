"""What every move in SQL keeps to: lock first, then read, then decide; a state is left by its name, and
that of a job by one statement; what was saved is answered, so that listeners are told.

Simple rules on the text of functions, not a parser: a function that breaks one is written in another way.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from tests.structure.source import Module, Violation

FUNCTION = re.compile(r"FUNCTION (moves\.\w+)\((.*?)\bAS \$\$\n?(.*?)\$\$", re.DOTALL)
ENTRY = re.compile(r"\bp_now timestamptz DEFAULT NULL\s*\)")
# Rows that others change. Of a job its task never changes, so it may be read to find out what to lock.
MUTABLE = r"agentapp_(?:workflow|job|stage|approval|effect|limit|bulkreplay)"
# In whatever statement: SELECT INTO, PERFORM, IF EXISTS (...), the default of a variable.
READ = re.compile(rf"[^;]*\b(?:FROM|JOIN)\s+{MUTABLE}\b[^;]*", re.IGNORECASE)
# Moves that decide on what they do not lock, and why that is right.
EXEMPT = {"moves.admit": "whether any gate drains saves a look at each job: a claim passes the gates again"}
# What changes the state of a job by a statement of its own, and why.
DOOR = "moves.move_job"
BESIDE_THE_DOOR = {
    "moves.end_jobs": "a cancellation ends ten thousand jobs at once",
    "moves.hold": "all parts of a fan-out wait for the end of a send hold at once",
    "moves.block_stage": "the job of a stage that cannot be opened is planned: nobody holds it or waits for it",
}
# Who writes tasks back and answers by its own means, and with what.
SAVERS = {
    "moves.saved": "moves.answer: task, state and seq",
    "moves.claim": "claimed jobs, which name their tasks, and refusals that changed one, which do too",
    "moves.settle": "moves.answer of each item",
    "moves.lose": "moves.answer",
}
SAVES = re.compile(r"\bmoves\.save\(")
SAVED_ASIDE = re.compile(r"(?<!\bRETURN )\bmoves\.saved\(")
FIXED = re.compile(r"SELECT\s+workflow_id\s+INTO\s", re.IGNORECASE)
LOCKS = re.compile(r"\bFOR\s+(?:NO\s+KEY\s+UPDATE|UPDATE|SHARE)\b|\bmoves\.lock_task\(", re.IGNORECASE)
WRITE = re.compile(r"\bUPDATE\s+(?:ONLY\s+)?agentapp_(job|approval|effect)\b([^;]*)", re.IGNORECASE)
# Alone, or in a list such as SET (state, priority) = (...).
SETS_STATE = re.compile(
    r"\bSET\b(?:(?!\bWHERE\b).)*?(?<![\w.])(?:state\s*=|\([^()]*\bstate\b[^()]*\)\s*=)", re.IGNORECASE | re.DOTALL
)
GUARD = re.compile(r"\bWHERE\b.*(?<!\w)(?:\w+\.)?state\s*(?:=|<>|IN\b|NOT\s+IN\b)", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class Function:
    path: str
    line: int
    name: str
    is_move: bool
    head: str
    body: str

    def breaks(self, sentence: str, *, at: int, rule: str = "moves") -> Violation:
        return Violation(rule, self.path, self.line + self.body.count("\n", 0, at), f"{self.name}: {sentence}")


def functions(path: str, text: str) -> Iterator[Function]:
    """Yield the functions of a file. A move is called from outside: its last parameter is `p_now`."""
    for found in FUNCTION.finditer(text):
        name, head, body = found.groups()
        is_move = bool(ENTRY.search(head)) and "STABLE" not in head
        line = text.count("\n", 0, found.start(3)) + 1
        yield Function(
            path, line, name, is_move, head, re.sub(r"--[^\n]*", lambda comment: " " * len(comment[0]), body)
        )


def check(path: str, text: str) -> Iterator[Violation]:
    for function in functions(path, text):
        yield from writes_without_a_guard(function)
        yield from saves_and_tells_nobody(function)
        if function.name != DOOR and function.name not in BESIDE_THE_DOOR:
            yield from writes_beside_the_door(function)
        if function.is_move and function.name not in EXEMPT:
            yield from reads_before_locks(function)


def reads_before_locks(function: Function) -> Iterator[Violation]:
    """A move that locks reads nothing before its first lock that somebody else may change meanwhile."""
    first_lock = LOCKS.search(function.body)
    if first_lock is None:
        return
    for read in READ.finditer(function.body, 0, first_lock.start()):
        is_locking = read.end() >= first_lock.start()
        if not is_locking and not FIXED.search(read[0]):
            yield function.breaks("it reads a row before it locks it. Lock first, then read.", at=read.start())


def writes_without_a_guard(function: Function) -> Iterator[Violation]:
    """A statement that writes a state also names the state that it leaves."""
    for write in WRITE.finditer(function.body):
        if SETS_STATE.search(write[2]) and not GUARD.search(write[2]):
            yield function.breaks(
                f"it sets the state of a {write[1]} whatever that is by now. Say `state = ...` in its WHERE.",
                at=write.start(),
            )


def writes_beside_the_door(function: Function) -> Iterator[Violation]:
    """One function changes the state of a job, and notes it in the history."""
    for at in _job_states_set(function.body):
        yield function.breaks(f"it sets the state of a job. Call {DOOR}, which notes it too.", at=at)


def saves_and_tells_nobody(function: Function) -> Iterator[Violation]:
    """What a move has changed is in its answer: lifecycle/changes.py tells listeners by that."""
    found = [*SAVED_ASIDE.finditer(function.body)]
    if function.name not in SAVERS:
        found += SAVES.finditer(function.body)
    for call in found:
        yield function.breaks("it saves a task and does not answer with it. RETURN moves.saved(t).", at=call.start())


def statements_in_python(module: Module) -> Iterator[int]:
    """Yield the lines of texts in a file of Python that are statements which set the state of a job."""
    for node in module.nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from (node.lineno for _ in _job_states_set(node.value))


def _job_states_set(text: str) -> Iterator[int]:
    """Where in a text statements begin that set the state of a job."""
    for write in WRITE.finditer(text):
        if write[1].lower() == "job" and SETS_STATE.search(write[2]):
            yield write.start()
