"""The states that moves write and compare are those of states.py, and the changes that they note are legal there.

Simple rules on the text of functions, as in moves.py. Whose state it is says the name before the dot, which a
parameter, a declaration or a FROM gives to a table; without one it is of the table that was named last.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from django.db.models import TextChoices

from agentapp import states
from tests.structure.moves import Function, functions
from tests.structure.source import Violation

RULE = "states"
OF_TABLE: dict[str, type[TextChoices]] = {
    "job": states.JobState, "workflow": states.WorkflowState, "approval": states.ApprovalState,
    "effect": states.EffectState, "bulkreplay": states.BulkReplayState, "document": states.DocumentState,
    "bulkcancellation": states.BulkCancellationState,
}  # fmt: skip
# Types that are no rows and have a state: a task under its lock, and what a worker asks for a job.
OF_TYPE = {"task": "workflow", "settle_request": "job"}
MOVES = {"job": states.JOB_MOVES, "workflow": states.WORKFLOW_MOVES, "approval": states.APPROVAL_MOVES}
TEXT = r"'([^']*)'"
NAMED = re.compile(r"\bagentapp_(\w+)(?:\s+(?:AS\s+)?(\w+))?", re.IGNORECASE)
DECLARED = re.compile(r"\b(\w+)\s+(?:agentapp_|moves\.)(\w+)\b(?!\()")
STATE = re.compile(
    r"(?<![\w.])(?:(\w+)\.)?state\s*"
    rf"(?:(?::=|=|<>|\bIS\s+(?:NOT\s+)?DISTINCT\s+FROM|\bWHEN)\s*(?={TEXT})|(?:NOT\s+)?IN\s*\(([^()]*)\)"
    r"|(?::=|=)\s*CASE\b([^;]*?)\bEND\b)",
    re.IGNORECASE,
)
CHOSEN = re.compile(rf"\b(?:THEN|ELSE)\s+{TEXT}", re.IGNORECASE)
ENTERED = re.compile(rf"\bmoves\.(?:entering|stand_in)\([^;]*?,\s*{TEXT}")
SET = re.compile(rf"\bmoves\.set_state\(\w+,\s*{TEXT}")
ENDED = re.compile(rf"(?<![\w.])(?:moves\.end_attempt\(\w+,|(?:r\.)?outcome\s*(?::=|=))\s*{TEXT}")
NOTED = re.compile(rf"(?:\bmoves\.note\(\w+,|\bROW\()\s*'(job|workflow|approval)',[^;]*?,\s*{TEXT},\s*{TEXT}")


def check_sql(path: str, text: str) -> Iterator[Violation]:
    for function in functions(path, text):
        for at, noun, word in written(function):
            if word not in known(noun):
                yield function.breaks(f"{word!r} is no state of {noun or 'anything'} in states.py.", at=at, rule=RULE)
        for noted in NOTED.finditer(function.body):
            noun, before, after = noted.groups()
            if after not in MOVES[noun].get(before, {}):
                yield function.breaks(
                    f"A {noun} goes from {before!r} to {after!r}: say so in states.py.", at=noted.start(), rule=RULE
                )


def known(noun: str) -> set[str]:
    """The states of a noun; of all that have some for ""."""
    if noun == "attempt":
        return set(states.AttemptOutcome.values)
    return {state for name, found in OF_TABLE.items() if noun in ("", name) for state in found.values}


def written(function: Function) -> Iterator[tuple[int, str, str]]:
    """Yield where a function names a state, of what, and which."""
    owners = dict(DECLARED.findall(function.head + function.body))
    owners |= {alias: table for table, alias in NAMED.findall(function.body) if alias.islower() and table in OF_TABLE}
    for found in STATE.finditer(function.body):
        prefix, single, several, cases = found.groups()
        tables = [table for table, _ in NAMED.findall(function.body, 0, found.start())]
        owner = owners.get(prefix, "") if prefix else next((name for name in reversed(tables) if name in OF_TABLE), "")
        noun = OF_TYPE.get(owner, owner if owner in OF_TABLE else "")
        for word in [single] if single is not None else re.findall(TEXT, several or "") + CHOSEN.findall(cases or ""):
            yield found.start(), noun, word
    for pattern, noun in ((ENTERED, "job"), (SET, "workflow"), (ENDED, "attempt")):
        for found in pattern.finditer(function.body):
            yield found.start(), noun, found[1]
