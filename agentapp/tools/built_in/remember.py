"""Keep a fact about the customer of a task."""

from typing import Annotated, Any
from uuid import UUID

from pydantic import Field

from agentapp.errors import CannotBeSent, InvalidInput, ToolFailed
from agentapp.lifecycle import memories, read_until
from agentapp.lifecycle.memories import Fact
from agentapp.policies import facts
from agentapp.retrieval import remembering
from agentapp.tools import ToolContext, tool


@tool(
    queue="retrieval",
    write=True,
    scope="memories:write",
    worker_scopes={"memories:write", "model:embed"},
    approval="tainted",
    of_customer=True,
)
def remember(
    ctx: ToolContext,
    *,
    fact: Annotated[str, Field(min_length=1, max_length=facts.LONGEST_TEXT)],
    replaces: UUID | None = None,
) -> dict[str, Any]:
    """Remember a fact about the customer of this task: one sentence that will still be true in a year. `replaces` is
    the id of a recalled fact that is no longer true."""
    try:
        text = remembering.text_of(fact)
    except InvalidInput as error:
        raise ToolFailed(str(error)) from error
    (vector,) = remembering.meaning([text], ctx.embed, tenant_id=ctx.tenant_id, about=ctx.customer)
    # What an agent has read of others stays untrusted, also where a person let it be kept.
    kept = Fact(ctx.tenant_id, ctx.customer, text, "remember", ctx.is_tainted, vector, ctx.task_id)

    began_at = read_until.began_at(ctx.task_id)

    def keep(effect_id: str) -> dict[str, Any]:
        try:
            memory, is_new = memories.write(kept, merges=True, supersedes=replaces, began_at=began_at)
        except InvalidInput as error:
            raise CannotBeSent(str(error)) from error
        return {"id": str(memory.pk), "is_new": is_new}

    request = {"about": ctx.customer, "text": text, "replaces": str(replaces) if replaces else None}
    # Facts are in the database that was restored: they lack what the ledger lacks.
    return ctx.effect(keep, request=request, is_idempotent=True, ask_restored=lambda effect_id: None)
