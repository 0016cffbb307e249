"""Say in a few statements what one chunk of a document says about what was asked."""

from typing import Any

import pydantic

from agentapp.errors import PermanentError
from agentapp.policies.retry import RetryPolicy
from agentapp.retrieval import excerpts, statements
from agentapp.runtime import JobContext, job

MOST = 3
SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["statements"],
    "properties": {
        "statements": {
            "type": "array",
            "items": {"type": "string"},
            "description": f"what the chunk says of it, in at most {MOST} sentences; none if it says nothing of it",
        }
    },
}


class NumberedChunk(pydantic.BaseModel):
    """A chunk, and the artifact that holds it."""

    n: int
    batch_id: str


@job(queue="model", scopes={"model:call", "documents:read"}, timeout_s=120, retry=RetryPolicy())
def summarize_chunk(ctx: JobContext, *, chunk: NumberedChunk, instruction: str) -> dict[str, Any]:
    batch = excerpts.load(ctx.artifacts.read(chunk.batch_id))
    excerpt = next((one for one in batch if one.n == chunk.n), None)
    if excerpt is None:
        raise PermanentError(f"The artifact {chunk.batch_id} holds no chunk {chunk.n}.")
    prompt = ctx.render("prompts/summarize_chunk.txt", instruction=instruction, chunk=excerpt)
    system = ctx.render("prompts/summarize_chunk.system.txt")
    reply = ctx.model.complete(prompt, system=system, schema=SCHEMA, schema_name="chunk_summary")
    said = [statements.sentence(text) for text in (reply.data or {})["statements"][:MOST]]
    return {"n": chunk.n, "statements": [text for text in said if text]}
