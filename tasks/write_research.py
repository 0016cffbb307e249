"""Answer a question from the passages that all searches have found, or say that nothing is known."""

from typing import Any

from agentapp.policies.retry import RetryPolicy
from agentapp.retrieval import passages, research, statements
from agentapp.retrieval.passages import Passage
from agentapp.retrieval.research import PlannedSearch
from agentapp.retrieval.statements import Resolved, Statement
from agentapp.runtime import JobContext, job

MOST_PASSAGES = 16
MOST = 20
UNKNOWN = "This is not known: no source that was searched has an answer."

_ONE = statements.schema(most=MOST)
SCHEMA: dict[str, Any] = _ONE | {
    "required": ["statements", "unanswered"],
    "properties": _ONE["properties"]
    | {
        "unanswered": {
            "type": "array",
            "items": {"type": "string"},
            "description": "the parts of the question that no passage answers; none if all are answered",
        }
    },
}


@job(queue="model", scopes={"model:call", "documents:read"}, timeout_s=180, retry=RetryPolicy())
def write_research(
    ctx: JobContext, *, question: str, background: str = "", searches: list[PlannedSearch]
) -> dict[str, Any]:
    outputs: dict[int, dict[str, Any]] = {}
    failed: dict[int, str] = {}
    for stage in ctx.earlier("search_source", most=1):
        # A person may have entered the output of a search, and no passages.
        outputs = {part: one for part, one in stage.outputs.items() if isinstance(one.get("passages_id"), str)}
        failed = stage.failed
    found = [passages.load(ctx.artifacts.read(outputs[part]["passages_id"])) for part in sorted(outputs)]
    numbered = passages.merge(found, limit=MOST_PASSAGES)
    made, unanswered = _answer(ctx, question, background, numbered)
    cited = frozenset().union(*(one.rests_on for one in made.statements))
    text = _text(made, unanswered)
    kept = ctx.artifacts.kept(text, name="answer.md")
    return {
        "is_known": bool(cited),
        "outcome": "answered" if cited and not unanswered else "partly answered" if cited else "unknown",
        "answer": kept,
        "draft_id": ctx.artifacts.write(text, name="answer.md"),
        "passages_id": ctx.artifacts.write(passages.dump(numbered), name="passages.json"),
        "citations": passages.quoted(cited, numbered),
        "unanswered": unanswered,
        "sources": research.told(searches, {part: len(one) for part, one in zip(sorted(outputs), found, strict=True)},
                                 failed),
        "dropped": {"citations": made.unknown, "statements": made.unfounded},
    }  # fmt: skip


def _answer(
    ctx: JobContext, question: str, background: str, numbered: list[Passage]
) -> tuple[Resolved, list[str]]:  # fmt: skip
    """Nothing to quote needs no model: it could only guess."""
    if not numbered:
        return Resolved([]), [question]
    prompt = ctx.render("prompts/write_research.txt", question=question, background=background, passages=numbered)
    system = ctx.render("prompts/write_research.system.txt", most=str(MOST))
    reply = (ctx.model.complete(prompt, system=system, schema=SCHEMA, schema_name="research")).data or {}
    given = [Statement(passage.text, frozenset({number})) for number, passage in enumerate(numbered, start=1)]
    made = statements.resolve(reply["statements"], given, most=MOST, keeps_rest=False)
    open_parts = [statements.sentence(part) for part in reply["unanswered"][:MOST]]
    return made, [part for part in open_parts if part] if made.statements else [question]


def _text(made: Resolved, unanswered: list[str]) -> str:
    if not made.statements:
        return UNKNOWN
    said = [f"- {one.text} [{', '.join(map(str, sorted(one.rests_on)))}]" for one in made.statements]
    left = [f"No source that was searched says anything about this: {part}" for part in unanswered]
    return "\n\n".join(part for part in ("\n".join(said), "\n".join(left)) if part)
