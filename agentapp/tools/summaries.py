"""Summaries of a long conversation: which one stands for its first turns, and how it is told to the model.

The turns stay where they are stored, and whether a run is tainted is always asked of them. A summary is text that
others may have caused: it is told between tags, as what they wrote is, and never as an instruction.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from agentapp.llm.answers import Message
from agentapp.policies import bounds, markup
from agentapp.tools import conversation, registry
from agentapp.tools.conversation import Spoken, Stored, Turn

Json = dict[str, Any]
# Of the calls that wrote, the last ones are listed, each with so many characters of its arguments and its result.
MOST_LISTED, LONGEST_LISTED = 100, 200
# Of each message, what a summary is made of: characters at its beginning.
LONGEST_SUMMARIZED = 4_000


@dataclass(frozen=True)
class Summary:
    """`text` (or its artifact, "text_id") stands for the first turns, as many as it `covers`."""

    covers: int = 0
    said: Json | None = None
    is_tainted: bool = False


@dataclass(frozen=True)
class Summaries:
    """`latest` is what holds now. `tried_at`: so many turns were stored when the last one was made, or failed."""

    latest: Summary = Summary()
    tried_at: int = 0
    has_failed: bool = False


def read(stages: Sequence[Stored]) -> Summaries:
    """Read the summaries among the stages of a conversation. One that a person has entered by hand counts where it says
    which turns it stands for; nobody knows what it was made of, so it taints the run."""
    found, turns = Summaries(), 0
    for stage in stages:
        if stage.name == conversation.TURN:
            turns += conversation.has_asked_model(stage)
        elif stage.name == conversation.SUMMARY and 0 in stage.outputs:
            made = _summary(stage.outputs[0], turns)
            is_new = made is not None and made.covers > found.latest.covers
            found = Summaries(made if made and is_new else found.latest, turns, not is_new)
    return found


def _summary(output: Json, turns: int) -> Summary | None:
    given = output.get("covers")
    covers = bounds.whole(given, most=turns) if isinstance(given, int | float) else None
    said = {name: output[name] for name in ("text", "text_id") if isinstance(output.get(name), str) and output[name]}
    return Summary(covers, said, output.get("tainted") is not False) if covers and said else None


def messages(told: Sequence[Turn], summary: Summary, *, read: Callable[[str], str], most: int) -> Iterator[Message]:
    """Tell a conversation, with a summary in the place of the turns that it covers.

    What clients themselves have instructed stays as they said it, the newest first, up to `most` characters.
    """
    covered = told[: summary.covers]
    if covered and summary.said is not None:
        yield from conversation.spoken(_instructions(covered, most=most))
        yield Message("user", _told(covered, conversation.text_of(summary.said, read)))
        told = told[summary.covers :]
    yield from conversation.messages(told, read=read)


def _instructions(covered: Sequence[Turn], *, most: int) -> list[Spoken]:
    kept: list[Spoken] = []
    for one in reversed([one for turn in covered for one in turn.heard if not one.is_untrusted]):
        most -= len(one.text)
        if most < 0:
            break
        kept.append(one)
    return kept[::-1]


def _told(covered: Sequence[Turn], text: str) -> str:
    # Which calls were made is not left to the model that wrote the summary: nothing shall be written twice.
    told = markup.inert("\n".join([text.strip(), *_calls(covered)]))
    return f'<summary turns="{len(covered)}">\n{told}\n</summary>'


def _calls(covered: Sequence[Turn]) -> Iterator[str]:
    written: list[str] = []
    others: Counter[str] = Counter()
    for turn in covered:
        for call in (call for group in turn.handed_out for call in group):
            tool = registry.find(call["tool"])
            if tool is not None and not tool.write:
                others[call["tool"]] += 1
            else:
                result = turn.results.get(call["id"])
                came_to = result.get("text", "(a long text)") if result else conversation.not_run(turn.decision)
                arguments = json.dumps(call["arguments"], ensure_ascii=False)
                written.append(f"- {call['tool']} {_cut(arguments)}: {_cut(came_to)}")
    if written:
        left_out = len(written) - MOST_LISTED
        yield "Calls that write, and what came of them:"
        yield from [f"- {left_out} earlier ones"] if left_out > 0 else []
        yield from written[-MOST_LISTED:]
    if others:
        yield "Other calls: " + ", ".join(f"{name} ({count})" for name, count in sorted(others.items()))


def transcript(told: Sequence[Turn], *, read: Callable[[str], str]) -> str:
    """Return turns as a text to be summarized."""
    lines = []
    for message in conversation.messages(told, read=read):
        who = {"user": "Client", "tool": "Result"}.get(message.role, "Assistant")
        lines.append(f"{who}: {_cut(message.content, LONGEST_SUMMARIZED)}")
        lines += [f"Assistant calls {call.name}: {_cut(call.arguments, LONGEST_SUMMARIZED)}" for call in message.calls]
    return "\n".join(lines)


def _cut(text: str, most: int = LONGEST_LISTED) -> str:
    return text if len(text) <= most else f"{text[:most]} [...]"
