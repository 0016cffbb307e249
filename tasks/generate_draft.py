"""Write a draft answer from the passages that retrieval found, or a better one than the last."""

from typing import Any

from agentapp.errors import InvalidModelOutput, PermanentError
from agentapp.llm.answers import Reply
from agentapp.policies.retry import RetryPolicy
from agentapp.retrieval import citing, passages
from agentapp.runtime import JobContext, job
from tasks.retrieve_context import is_of_another, remembered

MOST_PASSAGES = 10
# Far more than a reply is long: models that reason spend tokens before they write.
MOST_TOKENS = 4_000


@job(queue="model", scopes={"model:call", "documents:read"}, timeout_s=120, retry=RetryPolicy())
def generate_draft(
    ctx: JobContext,
    *,
    subject: str,
    body: str,
    retrieved: list[dict[str, Any]],
    evaluation: dict[str, Any] | None = None,
    remark: str | None = None,
    previous_draft_id: str | None = None,
) -> dict[str, Any]:
    """`retrieved` are the outputs of retrieve_context, `evaluation` that of evaluate_answer about the last draft."""
    known = remembered(ctx, [part["memories_id"] for part in retrieved if part.get("memories_id")])
    found = [passages.load(ctx.artifacts.read(part["passages_id"])) for part in retrieved if part.get("passages_id")]
    numbered = passages.merge([*known, *found], limit=MOST_PASSAGES)
    if previous_draft_id and is_of_another(ctx):
        # What it says of somebody else stands in the critique too.
        previous_draft_id = evaluation = None
    prompt = ctx.render(
        "prompts/generate_draft.txt",
        subject=subject,
        body=body,
        passages=numbered,
        critique=evaluation["critique"] if evaluation and evaluation["verdict"] == "revise" else "",
        remark=remark,
        previous_draft=ctx.artifacts.read(previous_draft_id) if previous_draft_id else "",
    )
    system = ctx.render("prompts/generate_draft.system.txt")
    reply = ctx.model.complete(prompt, system=system, max_tokens=MOST_TOKENS, preview=True)
    draft = whole(reply)
    return {
        "draft_id": ctx.artifacts.write(draft, name="draft.txt"),
        "passages_id": ctx.artifacts.write(passages.dump(numbered), name="passages.json"),
        "citations": citing.identified(ctx.tenant_id, passages.cited(draft, numbered), numbered),
    } | ({"facts_about": ctx.customer()} if any(known) else {})


def whole(reply: Reply) -> str:
    """Return the text of a draft that is all there.

    Raises:
        InvalidModelOutput: it is empty.
        PermanentError: it was cut off, and would be again.
    """
    if reply.finish_reason == "length":
        raise PermanentError(f"The model was cut off after {reply.completion_tokens} tokens: ask for a shorter text.")
    if not (draft := reply.text.strip()):
        raise InvalidModelOutput("The model wrote an empty draft.")
    return draft
