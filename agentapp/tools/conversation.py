"""The conversation of an agent: told again, each time, from what the jobs of its task have stored.

There is no other place in which it stands, so nothing that a job does twice can stand there twice.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import UUID

from agentapp.errors import PermanentError
from agentapp.llm.answers import Message
from agentapp.llm.tool_calls import ToolCall
from agentapp.policies import bounds, markup
from agentapp.tools import registry

Json = dict[str, Any]
# Characters of all results that a turn is told, the newest first. Short ones before them are told too: what was
# written must not look as if it had not been.
MOST_TOLD, SHORT = 400_000, 1_000
LEFT_OUT = "It was called. What came of it is left out, because this conversation has become long."
TURN, APPROVAL, RESULTS, SUMMARY = "agent_turn", "approval", "run_tool", "compact_conversation"


class Stored(Protocol):
    """A closed stage: its task, its name, the outputs of its jobs by part, and a decision's own output."""

    @property
    def task(self) -> UUID: ...

    @property
    def name(self) -> str: ...
    @property
    def output(self) -> Json | None: ...
    @property
    def outputs(self) -> Mapping[int, Json]: ...


class Spoken(Protocol):
    """What a client has said to a task: the number counts for each task."""

    @property
    def workflow_id(self) -> UUID: ...
    @property
    def number(self) -> int: ...
    @property
    def text(self) -> str: ...
    @property
    def is_untrusted(self) -> bool: ...


@dataclass(frozen=True)
class Turn:
    """One answer of the model to what it had `heard` since the turn before, what a person decided about its calls, and
    their results by the calls' ids. `handed_out` are the groups of its calls that were to be run so far."""

    said: Json
    task: UUID
    heard: tuple[Spoken, ...] = ()
    decision: Json = field(default_factory=dict)
    results: dict[str, Json] = field(default_factory=dict)
    handed_out: list[list[Json]] = field(default_factory=list)

    @property
    def next_group(self) -> list[Json]:
        """The calls that run after those before them; none after a person has said no to one."""
        if self.decision.get("decision", "approved") != "approved":
            return []
        rest = self.said["rest"]
        return rest[len(self.handed_out) - 1] if len(self.handed_out) <= len(rest) else []

    @property
    def is_malformed(self) -> bool:
        """It called tools, and none of the calls could be run."""
        return bool(self.said["refused"]) and not self.said["calls"]

    @property
    def is_tainted(self) -> bool:
        return (
            bool(self.said["tainted"])
            or any(message.is_untrusted for message in self.heard)
            or any(result["untrusted"] for result in self.results.values())
        )


def turns(stages: Sequence[Stored], spoken: Sequence[Spoken] = ()) -> tuple[list[Turn], list[Spoken]]:
    """Put the stages of a conversation together to its turns, oldest first, each with the messages that it has read.
    Return those too that none has read."""
    found: list[Turn] = []
    unread = list(spoken)
    is_turn = False
    for stage in stages:
        if stage.name == TURN and found and has_handed_out(stage):
            found[-1].handed_out.append(said(stage.outputs[0])["calls"])
            continue
        if stage.name == TURN:
            is_turn = has_asked_model(stage)
        if not is_turn:
            continue
        if stage.name == TURN:
            turn = said(stage.outputs[0])
            heard = [one for one in unread if one.workflow_id == stage.task and one.number <= turn["heard"]]
            found.append(Turn(turn, stage.task, tuple(heard), handed_out=[turn["calls"]]))
            unread = [one for one in unread if one not in heard]
        elif stage.name == APPROVAL and found:
            found[-1].decision.update(stage.output or {})
        elif stage.name == RESULTS and found:
            # By its part, because an output that a person has entered by hand need not name its call.
            calls = dict(enumerate(found[-1].handed_out[-1]))
            found[-1].results.update(
                {
                    calls[part]["id"]: _returned(calls[part], output)
                    for part, output in stage.outputs.items()
                    if part in calls
                }
            )
    return found, unread


def has_asked_model(stage: Stored) -> bool:
    """Whether a stage is a turn: it was not about the budget, and it did not ask for a summary, nor hand out calls of
    the turn before it."""
    if 0 not in stage.outputs or _asked(stage):
        return False
    return stage.outputs[0].get("is_long") is not True and not has_handed_out(stage)


def has_handed_out(stage: Stored) -> bool:
    """Whether a stage has handed out more calls of the turn before it, without asking the model."""
    return stage.outputs.get(0, {}).get("hands_out") is True


def _asked(stage: Stored) -> Json:
    """What a turn has asked about the budget, instead of its model."""
    content = stage.outputs.get(0, {}).get("content")
    return content if isinstance(content, dict) and isinstance(content.get("budget"), str) else {}


def budget_decisions(stages: Sequence[Stored], task: UUID) -> list[tuple[str, Json]]:
    """Return what was decided about the budget of a task, oldest first: what was asked about, and the decision."""
    found: list[tuple[str, Json]] = []
    asked: Json = {}
    for stage in stages:
        if stage.name == TURN:
            asked = _asked(stage)
        elif stage.name == APPROVAL and asked and stage.task == task and stage.output:
            found.append((asked["budget"], stage.output))
    return found


def said(output: Json) -> Json:
    """Return a turn as its job has stored it. One that a person has entered by hand may say less: nothing was granted
    to it, and nobody knows what it had read."""
    message = output.get("message")
    kept = message if isinstance(message, dict) else {}
    empty = {"calls": [], "rest": [], "refused": [], "granted": [], "tainted": True}
    number = {"heard": heard_by(output)}
    return {"turn": 0, **empty, **output, **number, "message": {"text": "", "calls": [], **kept}}


def heard_by(output: Json) -> int:
    """How many messages of its task a turn has read; what a person has entered, and is no count, has read none."""
    found = output.get("heard")
    return bounds.whole(found, most=bounds.LARGEST_INTEGER) or 0 if isinstance(found, int | float) else 0


def _returned(call: Json, output: Json) -> Json:
    """Return the result of a call. One that a person has entered by hand is any object, and was written by others where
    that of its tool would have been."""
    tool = registry.find(call["tool"])
    is_read = output.get("status") not in ("error", "refused")
    untrusted = bool(output.get("untrusted", is_read and (tool is None or tool.untrusted)))
    kept = {name: output[name] for name in ("text", "text_id") if isinstance(output.get(name), str)}
    return {"tool": call["tool"], "untrusted": untrusted} | (kept or {"text": json.dumps(output, ensure_ascii=False)})


def malformed_in_a_row(told: Sequence[Turn]) -> int:
    """Count the turns at the end that made malformed calls alone."""
    count = 0
    for turn in reversed(told):
        if not turn.is_malformed:
            break
        count += 1
    return count


def since_answer(told: Sequence[Turn], task: UUID) -> int:
    """Count the turns of a task since it began, or since its last answer, which a message followed."""
    count = 0
    for turn in reversed(told):
        if turn.task != task or turn.said.get("done"):
            break
        count += 1
    return count


def spoken(messages: Sequence[Spoken]) -> Iterator[Message]:
    """Tell what clients have said. What others wrote must not end the tag that says so."""
    for one in messages:
        text = f"<material>\n{markup.inert(one.text)}\n</material>" if one.is_untrusted else one.text
        yield Message("user", text)


def messages(told: Sequence[Turn], *, read: Callable[[str], str]) -> Iterator[Message]:
    """Tell the turns as messages: what each had heard, its answer, and behind it one result for each of its calls, in
    their order.

    `read` returns the text of an artifact.
    """
    texts = _texts(told, read)
    for turn in told:
        yield from spoken(turn.heard)
        message = turn.said["message"]
        calls = tuple(
            ToolCall(call["id"], call["name"], call["arguments"], call.get("extra") or {}) for call in message["calls"]
        )
        yield Message("assistant", text_of(message, read), calls=calls, reasoning=message.get("reasoning") or "")
        for call in calls:
            yield Message("tool", texts[call.id], call_id=call.id)


def _texts(told: Sequence[Turn], read: Callable[[str], str]) -> dict[str, str]:
    """What is told of each call, by its id. What is left out is not read either."""
    found: dict[str, str] = {}
    left = MOST_TOLD
    for turn in reversed(told):
        refused = {error["id"]: error["text"] for error in turn.said["refused"]}
        for call in reversed(turn.said["message"]["calls"]):
            result = turn.results.get(call["id"], {})
            if left <= 0 and (result.get("text_id") or len(result.get("text", "")) > SHORT):
                text = LEFT_OUT
            else:
                text = refused.get(call["id"]) or (_result(result, read) if result else not_run(turn.decision))
            found[call["id"]] = text
            left -= len(text)
    return found


def _result(result: Json, read: Callable[[str], str]) -> str:
    text = text_of(result, read)
    if not result["untrusted"]:
        return text
    # What others wrote must not end the tag that says so.
    return f'<result of="{markup.inert_attribute(result["tool"])}">\n{markup.inert(text)}\n</result>'


def not_run(decision: Json) -> str:
    if decision.get("decision") == "rejected":
        return "Not run, because a person has refused a call before it."
    if decision.get("decision") != "approved" and decision.get("remark"):
        return f"Not run. A person asks for changes: {decision['remark']}"
    return "Not run."


def text_of(stored: Json, read: Callable[[str], str]) -> str:
    if not stored.get("text_id"):
        return stored.get("text") or ""
    try:
        return read(stored["text_id"])
    except PermanentError:
        # Of a result that was entered by hand: the run goes on without it.
        return f"There is no text {stored['text_id']} any more."
