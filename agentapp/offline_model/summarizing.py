"""Summarize by quoting: the sentences of a chunk that say most, and one statement for several."""

from __future__ import annotations

from typing import Any

from agentapp.offline_model import drafting, questions, remembering, sentences
from agentapp.offline_model.sections import Passage, Prompt

MOST_QUOTED = 2
MOST_COMBINED = 7
SHORTEST_WORDS = 4
_TITLE_WORDS = 8


def facts(prompt: Prompt) -> dict[str, Any] | None:
    """Return what a prompt with a chunk, with statements or with a question comes to; None for any other."""
    instruction = prompt.latest("instruction")
    if chunk := prompt.latest("chunk"):
        return {"statements": _quoted(chunk, instruction)}
    if given := prompt.statements():
        return {"statements": _combined(given, instruction), "title": _title(instruction)}
    if prompt.sections.get("conversations"):
        return {"facts": remembering.facts(prompt.numbered("conversations"), prompt.numbered("known"))}
    if question := prompt.latest("question"):
        return {"queries": questions.parts(question), **_answered(question, prompt.passages())}
    return None


def conversation(said: str, instruction: str, before: str) -> str:
    """Report a conversation by quoting: what was asked, and the sentences of its results that say most about it."""
    found = [line.partition(": ")[2] for line in said.splitlines() if line.startswith("Result: ")]
    kept = [line for line in before.splitlines() if line.startswith("- ")]
    quoted = _quoted("\n".join(found), instruction.splitlines()[0] if instruction else "")
    lines = dict.fromkeys([*kept, *(f"- {one}" for one in quoted)])
    return "\n".join([f"Asked: {_title(instruction)}", "Found:", *lines])


def _answered(question: str, passages: list[Passage]) -> dict[str, Any]:
    """The sentences that answer a question, each by its passage, and the parts that none answers."""
    best = {part: questions.best(part, passages, context=question) for part in questions.parts(question)}
    hits = drafting.first_quotes(question, passages)
    hits += [hit for hit in best.values() if hit and all(hit.sentence != known.sentence for known in hits)]
    return {
        "statements": [{"text": drafting.clean(hit.sentence), "rests_on": [int(hit.passage.id)]} for hit in hits],
        "unanswered": [part for part, hit in best.items() if hit is None],
    }


def _quoted(chunk: str, instruction: str) -> list[str]:
    """The sentences that are nearest to the instruction, in their order. A question is answered by those that speak
    about it, or not at all."""
    told = [sentence for sentence in sentences.split(chunk) if len(sentences.words(sentence)) >= SHORTEST_WORDS]
    least = questions.RELEVANT if instruction.rstrip().endswith("?") else 0.0
    near = [sentence for sentence in told if sentences.closeness(instruction, sentence) >= least]
    best = sorted(near, key=lambda sentence: -sentences.closeness(instruction, sentence))[:MOST_QUOTED]
    return [sentence for sentence in told if sentence in best]


def _combined(given: list[str], instruction: str) -> list[dict[str, Any]]:
    """Of neighbours, the one that is nearest to the instruction stands for all."""
    count = min(MOST_COMBINED, len(given))
    runs = [range(n * len(given) // count, (n + 1) * len(given) // count) for n in range(count)]
    return [
        {
            "text": max((given[n] for n in run), key=lambda text: sentences.closeness(instruction, text)),
            "rests_on": [n + 1 for n in run],
        }
        for run in runs
    ]


def _title(instruction: str) -> str:
    return " ".join(instruction.split()[:_TITLE_WORDS])
