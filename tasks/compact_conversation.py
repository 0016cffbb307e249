"""Summarize the first turns of an agent's conversation that has become long. The turns themselves stay. [C5]"""

from collections.abc import Iterator
from typing import Any

from agentapp.errors import ModelRefused, TransientError
from agentapp.llm.answers import Message
from agentapp.policies import budgets
from agentapp.policies.retry import RetryPolicy
from agentapp.runtime import JobContext, agent_runs, job
from agentapp.tools import conversation, summaries

MOST_TOKENS = 2_000
MOST_CHARACTERS = 20_000
LEAST_PIECE_BYTES = 4_000


class NoSummary(Exception):
    """None can be made, for this reason: the run goes on without it."""


@job(queue="model", scopes={"model:call"}, timeout_s=600, retry=RetryPolicy(max_attempts=3))
def compact_conversation(
    ctx: JobContext, *, instruction: str, covers: int = 0, budget: dict[str, Any] | None = None
) -> dict[str, Any]:
    """`covers`: how many turns, from the first one, the summary stands for. Where none can be made it says why, as
    `failed`."""
    run = agent_runs.read(ctx, budget)
    covers = min(covers, len(run.told))
    before = run.summaries.latest
    if covers <= before.covers:
        return {"covers": before.covers, "failed": "There is nothing to summarize."}
    try:
        text = _summarized(ctx, run, instruction, covers)
    except (NoSummary, ModelRefused) as error:
        return {"covers": before.covers, "failed": str(error)}
    except TransientError as error:
        if not ctx.is_last_attempt:
            raise
        return {"covers": before.covers, "failed": str(error)}
    tainted = before.is_tainted or any(turn.is_tainted for turn in run.told[:covers])
    return {"covers": covers, "tainted": tainted, **ctx.artifacts.kept(text, name="summary.txt")}


def _summarized(ctx: JobContext, run: agent_runs.Run, instruction: str, covers: int) -> str:
    """Ask for a summary of what is too long for one call piece by piece, each with the summary so far."""
    before = run.summaries.latest
    text = conversation.text_of(before.said, ctx.artifacts.read) if before.said else ""
    given = summaries.transcript(run.told[before.covers : covers], read=ctx.artifacts.read).encode()
    # The offset is saved, not the number of a piece: another worker may have another limit.
    saved = ctx.saved or {"at": 0, "text": text}
    for start, end in _pieces(len(given), start=saved["at"], most=run.limit_tokens):
        piece = given[start:end].decode(errors="ignore")
        text = _asked(ctx, run, instruction=instruction, before=saved["text"], piece=piece)
        saved = {"at": end, "text": text}
        ctx.checkpoint(saved)
    return str(saved["text"])


def _pieces(size: int, *, start: int, most: int) -> Iterator[tuple[int, int]]:
    # Half of the limit, by two bytes for a token.
    most = max(LEAST_PIECE_BYTES, most)
    while start < size:
        yield start, min(size, start + most)
        start += most


def _asked(ctx: JobContext, run: agent_runs.Run, *, instruction: str, before: str, piece: str) -> str:
    prompt = ctx.render("prompts/compact_conversation.txt", instruction=instruction, summary=before, conversation=piece)
    messages = [Message("system", ctx.render("prompts/compact_conversation.system.txt")), Message("user", prompt)]
    may = run.may(messages, [], max_tokens=ctx.model.answer_tokens(MOST_TOKENS))
    if isinstance(may, budgets.Ask):
        # The next turn asks a person, who may raise it.
        raise NoSummary(budgets.used_up(may))
    text = ctx.model.converse(messages, at_most=min(MOST_TOKENS, may.max_tokens)).text.strip()
    if not text:
        raise NoSummary("The model has written nothing.")
    return text[:MOST_CHARACTERS]
