"""Answer a question from several sources, and say what is not known. [C4]

    plan_research     what to search for, and where
        |
    search_source     one job for each query at each source and collection, in parallel
        |
    write_research
        |
    rate_research

A source that is slow or fails is left out after its own time limit, and the result says so.
"""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from agentapp import registry
from agentapp.flows import FanOut, Flow, Join, Step
from agentapp.retrieval import sources


def _known(name: str) -> str:
    known = [source.name for source in sources.registered()]
    if name not in known:
        raise ValueError(f"There is no source {name!r}. Choose of: {', '.join(known)}.")
    return name


class ResearchReportInput(BaseModel):
    """What a client sends: a question, and where to look."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    question: Annotated[str, Field(min_length=1, max_length=5_000)]
    background: Annotated[str, Field(max_length=20_000)] = Field("", description="What is known about the question.")
    sources: Annotated[list[Annotated[str, AfterValidator(_known)]], Field(max_length=20)] = Field(
        [], description="The names of the sources to search; if left out, all."
    )
    collections: Annotated[list[Annotated[str, Field(min_length=1, max_length=100)]], Field(max_length=20)] = Field(
        [], description="The collections to search, of sources that have them; if left out, all."
    )
    max_queries: Annotated[int, Field(ge=1, le=8)] = Field(4, description="How many queries may be searched for.")


ASKED = {"question": "input.question", "background": "input.background"}

research_report = registry.add_flow(
    Flow(
        kind="research_report",
        version=1,
        title="Research a question",
        description="Searches several sources in parallel, and answers from them with citations, or says what is not "
        "known.",
        input=ResearchReportInput,
        stages=(
            Step(
                "plan_research",
                bind=ASKED
                | {
                    "collections": "input.collections",
                    "sources_asked": "input.sources",
                    "max_queries": "input.max_queries",
                },
            ),
            FanOut("search_source", over="plan_research.searches", each="search", join=Join("settled")),
            Step("write_research", bind=ASKED | {"searches": "plan_research.searches"}),
            Step(
                "rate_research",
                bind=ASKED | {name: f"write_research.{name}" for name in ("is_known", "draft_id", "passages_id")},
            ),
        ),
        result={
            "outcome": "write_research.outcome",
            "answer": "write_research.answer.text?",
            "answer_id": "write_research.answer.text_id?",
            "citations": "write_research.citations",
            "unanswered": "write_research.unanswered",
            "score": "rate_research.score",
            "critique": "rate_research.critique",
            "queries": "plan_research.queries",
            "sources": "write_research.sources",
            "dropped": "write_research.dropped",
            # What others wrote stands in it.
            "tainted": True,
        },
    )
)
