"""The calls of tools in a model's answer, put together from whatever shape they come in.

Streams cut a call into fragments. Providers differ in what a fragment says of the call that it belongs to: an index
that is always 0, no index, another id in each fragment, no id at all, the name again and again, the arguments as an
object. Some models write a call as text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

from agentapp.policies import storable

LONGEST_NAME = 100
MOST_CALLS = 128
LONGEST_ID = 100
# Of what a provider wants to get back with a call: more is no signature.
LONGEST_EXTRA = 20_000

_TAGGED = re.compile(r"<tool_call>(.*?)(?:</tool_call>|\Z)", re.DOTALL)
_FENCED = re.compile(r"\A```[a-zA-Z0-9_-]*[ \t]*\n(.*?)\n?```\Z", re.DOTALL)
_MARK = "[TOOL_CALLS]"

Json = dict[str, Any]


@dataclass(frozen=True)
class ToolCall:
    """A call that a model asks for. `arguments` is the text that it wrote: a JSON object, if it is well-formed. `extra`
    is what its provider wants to get back with it, such as Gemini's signature of the thought behind the call."""

    id: str
    name: str
    arguments: str
    extra: Json = field(default_factory=dict, hash=False)

    @property
    def parsed(self) -> Json | None:
        """The arguments, or None where they are no JSON object. No arguments at all are an empty object."""
        return as_object(self.arguments or "{}")


@dataclass
class _Draft:
    index: int | None
    id: str
    name: str
    arguments: str
    extra: Json

    @property
    def is_complete(self) -> bool:
        return as_object(self.arguments) is not None


class Gathered:
    """Takes the messages or deltas of an answer, and has the calls that they make."""

    def __init__(self) -> None:
        self._drafts: list[_Draft] = []

    def take(self, message: Json, *, is_whole: bool) -> None:
        """Take what a message says of calls. `is_whole`: it is no delta, so each call in it stands for itself."""
        if is_whole and self._drafts:
            # Some end a stream with the whole message once more.
            return
        for piece in _pieces(message):
            self._take(piece, is_whole=is_whole)

    def calls(self) -> list[ToolCall]:
        """Return the calls in the order in which they began, each with an id of its own."""
        found: dict[str, ToolCall] = {}
        for number, draft in enumerate(self._drafts[:MOST_CALLS]):
            own = draft.id if draft.id and draft.id not in found else f"call_{number}"
            found[own] = ToolCall(own, draft.name, draft.arguments, draft.extra)
        return list(found.values())

    def _take(self, piece: Json, *, is_whole: bool) -> None:
        function = piece.get("function") or piece.get("function_call") or piece
        function = function if isinstance(function, dict) else {}
        name = _short(function.get("name"), LONGEST_NAME)
        arguments = _arguments(function.get("arguments", function.get("parameters")))
        index = piece.get("index") if isinstance(piece.get("index"), int) else None
        id = _short(piece.get("id"), LONGEST_ID)
        extra = _extra(piece.get("extra_content"))
        draft = None if is_whole else self._continued(index, id, name, arguments)
        if draft is None:
            # One more than are made: it takes the fragments of all that follow.
            if len(self._drafts) <= MOST_CALLS:
                self._drafts.append(_Draft(index, id, name, arguments, extra))
            return
        draft.id = draft.id or id
        if name and name != draft.name and not draft.arguments:
            draft.name += name
        draft.arguments += arguments
        draft.extra = draft.extra or extra

    def _continued(self, index: int | None, id: str, name: str, arguments: str) -> _Draft | None:
        """Return the call that a fragment goes on with, or None when it begins a new one."""
        for draft in reversed(self._drafts):
            if id and id == draft.id:
                is_same = True
            elif id and draft.id and name:
                is_same = False
            else:
                is_same = index == draft.index if index is not None else not id
            if is_same:
                # A second call under the same number is told by its name, when the first one is complete.
                return None if name and arguments and draft.is_complete else draft
        return None


def described(text: str, offered: Collection[str]) -> tuple[list[ToolCall], str]:
    """Return the calls that a text consists of, and what is left of the text.

    Only a text that is nothing but a call of an offered tool counts, or one between the marks of such calls: an answer
    may speak of tools.
    """
    blocks = _TAGGED.findall(text)
    rest = _TAGGED.sub("", text).strip() if blocks else ""
    if not blocks:
        whole = text.strip().removeprefix(_MARK).strip()
        fenced = _FENCED.match(whole)
        blocks = [fenced.group(1) if fenced else whole]
    found = [call for block in blocks for call in _spoken(block)]
    if not found or any(call.get("name") not in offered for call in found):
        return [], text
    gathered = Gathered()
    gathered.take({"tool_calls": found}, is_whole=True)
    return gathered.calls(), rest


def as_object(text: str) -> Json | None:
    """Read a JSON object; None for what is none, or cannot be stored."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and next(storable.problems(found), None) is None else None


def _spoken(block: str) -> Iterator[Json]:
    try:
        found = json.loads(block)
    except (ValueError, RecursionError):
        return
    for one in found if isinstance(found, list) else [found]:
        if isinstance(one, dict) and isinstance(one.get("arguments", one.get("parameters")), dict):
            yield one


def _pieces(message: Json) -> list[Json]:
    calls = message.get("tool_calls")
    calls = [calls] if isinstance(calls, dict) else calls
    found = [piece for piece in calls if isinstance(piece, dict)] if isinstance(calls, list) else []
    legacy = message.get("function_call")
    if not found and isinstance(legacy, dict):
        # One call at most, from the time before there could be several.
        found = [{"index": 0, "function": legacy}]
    return found


def _arguments(value: Any) -> str:
    if isinstance(value, str):
        return storable.text(value)
    return "" if value is None else storable.text(json.dumps(value, ensure_ascii=False))


def _extra(value: Any) -> Json:
    """Read what is told back as it came, where it can be stored."""
    if not isinstance(value, dict) or next(storable.problems(value), None) is not None:
        return {}
    return value if len(json.dumps(value)) <= LONGEST_EXTRA else {}


def _short(value: Any, most: int) -> str:
    return storable.text(value, most=most).strip() if isinstance(value, str) else ""
