"""Make fewer statements of a group of them, each of which says what it rests on."""

from typing import Any

from agentapp.policies.retry import RetryPolicy
from agentapp.retrieval import statements
from agentapp.runtime import JobContext, job


@job(queue="model", scopes={"model:call", "documents:read"}, timeout_s=120, retry=RetryPolicy())
def combine_statements(ctx: JobContext, *, group_id: str, instruction: str) -> dict[str, Any]:
    given = statements.load(ctx.artifacts.read(group_id))
    prompt = ctx.render("prompts/combine_statements.txt", instruction=instruction, statements=given)
    system = ctx.render("prompts/combine_statements.system.txt", most=str(statements.ASKED))
    reply = ctx.model.complete(
        prompt, system=system, schema=statements.schema(most=statements.ASKED), schema_name="combined_statements"
    )
    made = statements.resolve((reply.data or {})["statements"], given, most=statements.MOST_COMBINED)
    return {
        "statements": statements.as_json(made.statements),
        "dropped": {"citations": made.unknown, "statements": made.unfounded},
    }
