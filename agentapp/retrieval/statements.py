"""Statements that rest on numbered texts: how many of them become few, and keep what they rest on. Pure.

A model that combines statements names them by their place in the list that it was given, so what it has to say stays
short however many texts stand behind each of them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agentapp.policies import bounds, storable
from agentapp.retrieval import ranges

Json = dict[str, Any]

LONGEST = 600
# Statements that a model combines at once, and how many it may make of them. A group of a list that is longer than one
# group has at least half of GROUP, so each level has at most half as many statements as the one before.
GROUP = 40
ASKED = 7
MOST_COMBINED = 10
# What a reader takes for a citation: [3], [1-4, 7].
_MARK = re.compile(r"\[\s*\d{1,9}(?:\s*[,;\u2013-]\s*\d{1,9})*\s*\]")


@dataclass(frozen=True)
class Statement:
    """A sentence, and the numbers of the texts that it rests on."""

    text: str
    rests_on: frozenset[int]


@dataclass(frozen=True)
class Resolved:
    """What a model has said, with what it rests on. `unknown` citations named nothing that was given, and were dropped;
    `unfounded` statements were left without any, and were dropped too. `left_out` statements were named by none, and
    there was no room to keep them."""

    statements: list[Statement]
    unknown: int = 0
    unfounded: int = 0
    left_out: list[Statement] = field(default_factory=list)


def sentence(text: str) -> str:
    """Return a statement on one line, as it can be stored, without what looks like a citation: those are ours, and a
    model or a document that writes one means other numbers."""
    found = storable.text(" ".join(text.split()), most=LONGEST)
    # One may stand within another.
    while found != (found := " ".join(_MARK.sub("", found).split())):
        pass
    return found


def schema(*, most: int, titled: bool = False) -> Json:
    """The JSON schema of a model's answer that combines statements."""
    rests_on = {"type": "array", "items": {"type": "integer"}, "description": "the ids of the statements it rests on"}
    one = {
        "type": "object",
        "additionalProperties": False,
        "required": ["text", "rests_on"],
        "properties": {"text": {"type": "string", "description": "one or two sentences"}, "rests_on": rests_on},
    }
    statements = {"type": "array", "items": one, "description": f"at most {most}, in the order of a good text"}
    titles = {"title": {"type": "string", "description": "a short title of the whole"}} if titled else {}
    properties = titles | {"statements": statements}
    return {"type": "object", "additionalProperties": False, "required": list(properties), "properties": properties}


def resolve(
    said: Iterable[Mapping[str, Any]], given: Sequence[Statement], *, most: int, keeps_rest: bool = True
) -> Resolved:
    """Return what was said of the statements `given`, whose ids are their places from 1, at most `most`.

    With `keeps_rest`, what no statement rests on is kept as it was, as far as there is room.
    """
    found: list[Statement] = []
    named: set[int] = set()
    unknown = unfounded = 0
    for one in list(said)[:most]:
        ids = set(one["rests_on"])
        # JSON has one kind of numbers: 1.0 is a whole one.
        known = {number for one_id in ids if (number := bounds.whole(one_id, least=1, most=len(given)))}
        text = sentence(one["text"])
        unknown += len(ids) - len(known)
        if known and text:
            found.append(Statement(text, _of(given, known)))
            named |= known
        else:
            unfounded += 1
    rest = [statement for number, statement in enumerate(given, start=1) if number not in named]
    room = max(0, most - len(found)) if keeps_rest else 0
    return Resolved(found + rest[:room], unknown, unfounded, rest[room:])


def _of(given: Sequence[Statement], ids: Iterable[int]) -> frozenset[int]:
    return frozenset().union(*(given[number - 1].rests_on for number in ids))


def groups(statements: Sequence[Statement]) -> Iterator[Sequence[Statement]]:
    """Yield neighbours together, in groups of nearly one size, at most GROUP each."""
    count = -(-len(statements) // GROUP)
    for number in range(count):
        yield statements[number * len(statements) // count : (number + 1) * len(statements) // count]


def as_json(statements: Iterable[Statement]) -> list[Json]:
    return [{"text": one.text, "rests_on": ranges.written(one.rests_on)} for one in statements]


def of_json(stored: Any) -> list[Statement]:
    """Read what as_json() wrote; what a person has entered instead, and is no statement, is left out."""
    given = stored if isinstance(stored, list) else []
    return [
        Statement(sentence(one["text"]), ranges.read(one["rests_on"]))
        for one in given
        if isinstance(one, dict) and isinstance(one.get("text"), str) and isinstance(one.get("rests_on"), str)
    ]


def dump(statements: Iterable[Statement]) -> str:
    return json.dumps(as_json(statements), ensure_ascii=False)


def load(text: str) -> list[Statement]:
    """Read what dump() wrote."""
    return of_json(json.loads(text))
