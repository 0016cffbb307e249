"""Write the report of the last statements: what it says, what that rests on, and what was not read."""

import json
from typing import Any

from agentapp.policies.retry import RetryPolicy
from agentapp.retrieval import ranges, reports, statements
from agentapp.retrieval.statements import Resolved
from agentapp.runtime import JobContext, job

# A report has at least as much room as it has statements, so nothing is left out here.
MOST = statements.GROUP
NOTHING = "The documents say nothing about this."


@job(queue="model", scopes={"model:call", "documents:read"}, timeout_s=180, retry=RetryPolicy())
def write_report(
    ctx: JobContext,
    *,
    instruction: str,
    statements_id: str,
    documents_id: str,
    coverage: dict[str, Any],
    dropped: dict[str, int],
) -> dict[str, Any]:
    title, made = _written(ctx, instruction, statements.load(ctx.artifacts.read(statements_id)))
    cited = frozenset().union(*(one.rests_on for one in made.statements))
    silent, failed = ranges.read(coverage["silent"]), ranges.read(coverage["failed"])
    unused = frozenset(range(1, coverage["found"] + 1)) - cited - silent - failed
    read = coverage | {"cited": ranges.written(cited), "not_cited": ranges.written(unused)}
    documents = json.loads(ctx.artifacts.read(documents_id))
    text = reports.written(title, made.statements, documents=documents, coverage=read)
    kept = ctx.artifacts.kept(text, name="report.md")
    return {
        "outcome": _outcome(read, has_found=bool(made.statements)),
        "report": kept,
        "citations_id": ctx.artifacts.write(reports.citations(made.statements, documents), name="citations.json"),
        "chunks": read,
        "dropped": {
            "citations": dropped["citations"] + made.unknown,
            "statements": dropped["statements"] + made.unfounded,
        },
    }


def _written(ctx: JobContext, instruction: str, given: list[statements.Statement]) -> tuple[str, Resolved]:
    if not given:
        return NOTHING, Resolved([])
    prompt = ctx.render("prompts/combine_statements.txt", instruction=instruction, statements=given)
    system = ctx.render("prompts/write_report.system.txt", most=str(MOST))
    schema = statements.schema(most=MOST, titled=True)
    reply = (ctx.model.complete(prompt, system=system, schema=schema, schema_name="report")).data or {}
    return statements.sentence(reply["title"]), statements.resolve(reply["statements"], given, most=MOST)


def _outcome(read: dict[str, Any], *, has_found: bool) -> str:
    if not has_found:
        return "nothing found"
    return "partial" if read["failed"] else "complete"
