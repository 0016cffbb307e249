"""What becomes of the calls that a model asks for: run, shown to a person first, or told the model as an error."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pydantic

from agentapp.errors import InvalidPayload
from agentapp.llm.answers import OfferedTool
from agentapp.llm.tool_calls import ToolCall
from agentapp.policies.content import canonical_sha256
from agentapp.tools import registry
from agentapp.tools.registry import Tool

Json = dict[str, Any]

# Of one turn; the others are told to come again.
MOST_AT_ONCE = 16
LONGEST_ARGUMENTS = 50_000
# Of all calls of a turn: they are stored with it, shown to a person, and bound by an approval.
MOST_ARGUMENTS = 150_000
_CUT = " [...]"
_QUOTED = 200


class PlannedCall(pydantic.BaseModel):
    """A call that is to be run. `queue` is the worker class of its tool. `nth`: it comes after so many calls of the
    same answer that say the same; None in what the release before has stored."""

    id: str
    tool: str
    queue: str
    arguments: Json
    nth: int | None = None

    @property
    def content(self) -> Json:
        """What an approval shows of it, and binds."""
        return {"id": self.id, "tool": self.tool, "arguments": self.arguments}

    @property
    def sha256(self) -> str:
        return canonical_sha256(self.content)


@dataclass(frozen=True)
class Plan:
    """`refused` are errors for the model: {"id", "text"}. `asking` are those of `calls` that a person must approve. The
    groups of `rest` run after them, one after the other."""

    calls: Sequence[PlannedCall] = ()
    refused: Sequence[Json] = ()
    asking: Sequence[PlannedCall] = ()
    rest: Sequence[Sequence[PlannedCall]] = ()

    @property
    def content(self) -> Json | None:
        return {"calls": [call.content for call in self.asking]} if self.asking else None


def granted(
    names: Sequence[str] | None, scopes: frozenset[str], of_servers: Sequence[Tool] = (), *, has_customer: bool = False
) -> dict[str, Tool]:
    """Return the tools of a run by the names that models call: those that are named, or else all that only read, as far
    as these need no scope of writing; none without its scope, and none about a customer where the task names none.
    `of_servers` are chosen already; the installation's own come first."""
    own = registry.registered()
    known = [tool for tool in own if (tool.name in names if names is not None else _is_usual(tool))]
    known = [tool for tool in known if has_customer or not tool.of_customer]
    taken = {tool.name for tool in own}
    known += [tool for tool in of_servers if tool.offered_as not in taken]
    return {tool.offered_as: tool for tool in known if not tool.scope or tool.scope in scopes}


def _is_usual(tool: Tool) -> bool:
    # What reads with a secret of the platform is named by who wants it.
    return not tool.write and not tool.scope.endswith(":write")


def offered(tools: Mapping[str, Tool]) -> list[OfferedTool]:
    return [OfferedTool(name, tool.description, tool.parameters()) for name, tool in tools.items()]


def numbered(calls: Sequence[ToolCall], *, turn: int) -> list[ToolCall]:
    """Return calls under ids of ours, the same whenever the turn is told again: providers leave theirs out, or repeat
    them. Nine letters and digits, because some take no others. Of their arguments no more is kept than a turn holds."""
    kept: list[ToolCall] = []
    left = MOST_ARGUMENTS
    for number, call in enumerate(calls):
        arguments = call.arguments[: LONGEST_ARGUMENTS + 1]
        # The mark makes sure that a beginning is no call of its own.
        arguments = arguments if len(arguments) <= left else arguments[: max(0, left)] + _CUT
        left -= len(arguments)
        kept.append(ToolCall(f"t{turn:03d}c{number:04d}", _name(call), arguments, call.extra))
    return kept


def plan(calls: Sequence[ToolCall], tools: Mapping[str, Tool], *, tainted: bool, is_one_by_one: bool = False) -> Plan:
    """Say of each call what becomes of it. `tainted`: the run has read untrusted text before them. `is_one_by_one`:
    none runs beside another."""
    found: list[PlannedCall] = []
    refused: list[Json] = []
    equal: Counter[str] = Counter()
    for number, call in enumerate(calls):
        problem = _problem(call, tools) if number < MOST_AT_ONCE else f"at most {MOST_AT_ONCE} calls at once"
        if problem:
            refused.append({"id": call.id, "text": f"Error: {problem}"})
        else:
            tool = tools[call.name]
            arguments = call.parsed or {}
            said = canonical_sha256({"tool": tool.name, "arguments": arguments})
            found.append(
                PlannedCall(id=call.id, tool=tool.name, queue=tool.queue, arguments=arguments, nth=equal[said])
            )
            equal[said] += 1
    sequential = {tool.name for tool in tools.values() if tool.sequential}
    first, *rest = _groups(found, {call.id for call in found if is_one_by_one or call.tool in sequential}) or [[]]
    return replace(handed_out(first, tools, tainted=tainted), refused=refused, rest=rest)


def handed_out(calls: Sequence[PlannedCall], tools: Mapping[str, Tool], *, tainted: bool) -> Plan:
    """Plan one group of the calls of a turn. `tainted`: the run has read untrusted text by now, perhaps in a group
    before. A tool that there is no more asks for nothing: its call is refused when it runs."""
    by_name = {tool.name: tool for tool in tools.values()}
    found = [(call, by_name.get(call.tool)) for call in calls]
    return Plan(calls, asking=[call for call, tool in found if tool and tool.needs_approval(tainted=tainted)])


def _groups(calls: Sequence[PlannedCall], alone: Collection[str]) -> list[list[PlannedCall]]:
    """Put calls into groups that run one after the other, in their order; those whose ids are `alone` have one each."""
    found: list[list[PlannedCall]] = []
    for call in calls:
        if found and call.id not in alone and found[-1][-1].id not in alone:
            found[-1].append(call)
        else:
            found.append([call])
    return found


def _problem(call: ToolCall, tools: Mapping[str, Tool]) -> str:
    """Say in words for the model what is wrong with a call; the empty string where nothing is."""
    tool = tools.get(call.name)
    if tool is None:
        return f"there is no tool {call.name!r} here; there are {', '.join(tools) or 'none'}."
    if len(call.arguments) > LONGEST_ARGUMENTS:
        return f"the arguments are longer than {LONGEST_ARGUMENTS} characters."
    if call.arguments.endswith(_CUT):
        return f"the arguments of all calls are longer than {MOST_ARGUMENTS} characters."
    if call.parsed is None:
        return f"the arguments are not a JSON object: {call.arguments[:_QUOTED]!r}"
    try:
        tool.check(call.parsed)
    except InvalidPayload as error:
        return str(error)
    return ""


def _name(call: ToolCall) -> str:
    # A habit of models that were trained with namespaces.
    return call.name.removeprefix("functions.")
