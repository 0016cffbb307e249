"""Judge a sample of finished tasks again, and tell whether the scores have drifted. [C10]

    choose_sample
        |
    rescore_answer    one job for each task of the sample
        |
    compare_scores

A schedule starts it once a day. What people did with the drafts are labels: a draft that was approved as it was should
score above the bar, one that was rejected below it.
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator

from agentapp import registry
from agentapp.flows import FanOut, Flow, Join, Step

JUDGE = "evaluate_answer"


class EvaluationSampleInput(BaseModel):
    """What a client sends: of which tasks, how many, and how far their mean score may move."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    kind: Annotated[str, Field(max_length=100)] = Field(
        "support_reply", description=f"The kind of the tasks; `{JUDGE}` must be one of its stages."
    )
    hours: Annotated[float, Field(gt=0, le=24 * 366)] = Field(
        24, description="Only tasks that were completed within so many hours."
    )
    size: Annotated[int, Field(ge=1, le=200)] = Field(20, description="How many tasks are chosen at most, by lot.")
    tolerance: Annotated[float, Field(gt=0, le=1)] = Field(
        0.1, description="By how much the mean score may move before the outcome is `drifted`."
    )

    @field_validator("kind")
    @classmethod
    def _is_judged(cls, kind: str) -> str:
        flow = registry.latest_flow(kind)
        if flow is None or JUDGE not in {getattr(stage, "job_type", "") for stage in flow.stages}:
            raise ValueError(f"There is no kind {kind!r} with a stage {JUDGE}.")
        return kind


evaluation_sample = registry.add_flow(
    Flow(
        kind="evaluation_sample",
        version=1,
        title="Judge finished tasks again",
        description="Scores finished drafts with today's prompt and model, and says whether the scores have drifted.",
        input=EvaluationSampleInput,
        stages=(
            Step("choose_sample", bind={name: f"input.{name}" for name in ("kind", "hours", "size")}),
            FanOut("rescore_answer", over="choose_sample.cases", each="case", join=Join("settled")),
            Step(
                "compare_scores",
                bind={name: f"choose_sample.{name}" for name in ("found", "chosen", "cases")}
                | {"tolerance": "input.tolerance"},
            ),
        ),
        result={
            name: f"compare_scores.{name}"
            for name in (
                "outcome", "drift", "tasks", "scores", "disagreements", "disagreement_count", "judged_by",
            )
        },
    )
)  # fmt: skip
