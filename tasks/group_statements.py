"""One level of a report: see that enough was read, and put the statements into groups that are combined in parallel.

Statements that fit into one group need no more combining: the report is written of them.
"""

from typing import Any

from agentapp.errors import PermanentError
from agentapp.policies import bounds
from agentapp.policies.retry import RetryPolicy
from agentapp.retrieval import coverage, statements
from agentapp.retrieval.coverage import Coverage
from agentapp.retrieval.statements import Statement
from agentapp.runtime import JobContext, job

# Of one group; a person may have entered its output.
MOST_DROPPED = 1_000_000
# Which of them a plan went through depends on its policy; the other was skipped.
OF_CHUNKS = ("summarize_every_chunk", "summarize_chunk")


@job(queue="model", scopes={"documents:read"}, timeout_s=300, retry=RetryPolicy())
def group_statements(ctx: JobContext, *, found: int, policy: str, share: float) -> dict[str, Any]:
    """`found` chunks were to be read; `policy` and `share` say how many must have been."""
    if before := ctx.earlier("group_statements", most=1):
        level = before[0].outputs[0]
        given, dropped = _combined(ctx, level["dropped"])
        read = level["coverage"]
    else:
        given, read = _summaries(ctx, found, coverage.needed(found, rule=policy, share=share))
        dropped = {"citations": 0, "statements": 0}
    carried = {"coverage": read, "dropped": dropped}
    if len(given) <= statements.GROUP:
        kept = ctx.artifacts.write(statements.dump(given), name="statements.json")
        return {"groups": [], "goes_on": False, "statements_id": kept, **carried}
    groups = []
    for group in statements.groups(given):
        ctx.check()
        groups.append(ctx.artifacts.write(statements.dump(group), name="statements.json"))
    return {"groups": groups, "goes_on": True, **carried}


def _summaries(ctx: JobContext, found: int, needed: int) -> tuple[list[Statement], dict[str, Any]]:
    """Return what was said of the chunks, in their order, and how many of them that is.

    Raises:
        PermanentError: too few chunks were summarized.
    """
    said: dict[int, list[str]] = {}
    failed: dict[int, str] = {}
    for stage in ctx.earlier(*OF_CHUNKS):
        # Part 0 is chunk 1.
        failed |= {part + 1: reason for part, reason in stage.failed.items()}
        for part, output in stage.outputs.items():
            texts = output.get("statements")
            said[part + 1] = [text for text in texts if isinstance(text, str)] if isinstance(texts, list) else []
    read = Coverage(found, failed, frozenset(number for number, texts in said.items() if not texts))
    if read.summarized < needed:
        raise PermanentError(
            f"Only {read.summarized} of {found} chunks were summarized, and the policy asks for {needed}. "
            "Replay the task from the stage summarize_chunk."
        )
    given = [Statement(statements.sentence(text), frozenset({n})) for n in sorted(said) for text in said[n]]
    return given, read.as_json() | {"needed": needed}


def _combined(ctx: JobContext, dropped: dict[str, int]) -> tuple[list[Statement], dict[str, int]]:
    """Return what the level before came to, and what all levels have dropped."""
    (stage,) = ctx.earlier("combine_statements", most=1)
    outputs = [stage.outputs[part] for part in sorted(stage.outputs)]
    given = [statement for output in outputs for statement in statements.of_json(output.get("statements"))]
    lost = [output.get("dropped") or {} for output in outputs]
    return given, {
        name: count + sum(bounds.whole(one.get(name), most=MOST_DROPPED) or 0 for one in lost)
        for name, count in dropped.items()
    }
