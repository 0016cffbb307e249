"""Compare the scores of judged tasks with those of today, and with what people have decided about their drafts."""

from statistics import fmean
from typing import Annotated, Any
from uuid import UUID

import pydantic

from agentapp.policies.retry import RetryPolicy
from agentapp.runtime import JobContext, job
from tasks.evaluate_answer import BAR
from tasks.rescore_answer import JudgedTask

Score = Annotated[float, pydantic.Field(ge=0, le=1)]
Scored = list[dict[str, Any]]
DIGITS = 3
# Of those that are listed by their ids.
MOST_LISTED = 20
# What people thought of a draft by what they did with it. An edited one was neither good nor useless.
GOOD = {"approved": True, "rejected": False}


@job(queue="model", scopes={"tasks:read"}, timeout_s=60, retry=RetryPolicy())
def compare_scores(
    ctx: JobContext, *, found: int, chosen: int, cases: list[JudgedTask], tolerance: float
) -> dict[str, Any]:
    outputs = [output for stage in ctx.earlier("rescore_answer") for output in stage.outputs.values()]
    scored = [one for one in outputs if _is_scored(one)]
    drift = round(_mean(scored, "now") - _mean(scored, "before"), DIGITS) if scored else None
    tasks: list[UUID] = [case.task for case in cases]
    disagreements = _disagreements(scored)
    return {
        "outcome": _outcome(drift, tolerance),
        "drift": drift,
        "tasks": {"found": found, "chosen": chosen, "judged": len(cases), "scored": len(scored)},
        "scores": {"all": _scores(scored)}
        | {
            decision: _scores([one for one in scored if one["decision"] == decision])
            for decision in sorted({one["decision"] for one in scored})
        },
        "disagreements": disagreements[:MOST_LISTED],
        "disagreement_count": len(disagreements),
        "judged_by": {
            "before": ctx.judged_with(tasks, by="evaluate_answer"),
            "now": ctx.judged_with([ctx.workflow_id], by="rescore_answer"),
        },
    }


class _Scored(pydantic.BaseModel):
    """What rescore_answer returns; a person who resolves its dead letter may have entered anything."""

    model_config = pydantic.ConfigDict(strict=True)

    task: str
    before: Score
    now: Score
    decision: str


def _is_scored(output: dict[str, Any]) -> bool:
    try:
        _Scored.model_validate(output)
    except pydantic.ValidationError:
        return False
    return True


def _outcome(drift: float | None, tolerance: float) -> str:
    if drift is None:
        return "nothing to judge"
    return "drifted" if abs(drift) > tolerance else "steady"


def _mean(scored: Scored, name: str) -> float:
    return fmean(one[name] for one in scored)


def _scores(scored: Scored) -> dict[str, Any]:
    if not scored:
        return {"count": 0, "before": None, "now": None}
    return {
        "count": len(scored),
        "before": round(_mean(scored, "before"), DIGITS),
        "now": round(_mean(scored, "now"), DIGITS),
    }


def _disagreements(scored: Scored) -> list[str]:
    """The tasks whose draft a person approved as it was and the model would have revised today, or the other way."""
    return sorted(
        one["task"]
        for one in scored
        if one["decision"] in GOOD and (one["now"] >= BAR) is not GOOD[one["decision"]]
    )  # fmt: skip
