"""Read whole documents, and report on them. [C4]

    find_chunks
        |
    summarize_chunk       one job for each chunk, in parallel
        |
    group_statements  <----------------------------------+
        |                                                |
    combine_statements    one job for each group         |
        +-- until one group is left ---------------------+
        |
    write_report

With the policy `all`, a chunk that fails for good is a dead letter, and its task waits for a person. With `at_least`
the report is written of the others, and says so, if they are the share that the policy asks for.
"""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator

from agentapp import registry
from agentapp.flows import FanOut, Flow, Join, Repeat, Step, When

# Each level has at most half as many statements as the one before.
MOST_LEVELS = 20


class DocumentReportInput(BaseModel):
    """What a client sends: which documents, what about them, and how much of them must have been read."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    instruction: Annotated[str, Field(min_length=1, max_length=10_000)] = Field(
        "Summarize what the documents say.", description="A question, or what the report is to be about."
    )
    documents: Annotated[list[UUID], Field(max_length=100)] = Field(
        [], description="The ids of the documents to read, in this order."
    )
    collection: Annotated[str, Field(max_length=100)] = Field(
        "", description="Instead of ids: all documents of this collection."
    )
    policy: Literal["all", "at_least"] = Field(
        "all", description="all: every chunk must be summarized; at_least: the share that is given."
    )
    share: Annotated[float, Field(gt=0, le=1)] = Field(0.9, description="For the policy at_least: 0.9 is nine of ten.")

    @model_validator(mode="after")
    def _names_what_to_read(self) -> "DocumentReportInput":
        if bool(self.documents) == bool(self.collection):
            raise ValueError("Name either documents or a collection.")
        return self


ASKED = {"instruction": "input.instruction"}

document_report = registry.add_flow(
    Flow(
        kind="document_report",
        version=1,
        title="Report on documents",
        description="Reads every chunk of documents or of a collection, and writes a report that cites them.",
        input=DocumentReportInput,
        stages=(
            Step("find_chunks", bind={"documents": "input.documents", "collection": "input.collection"}),
            FanOut(
                "summarize_chunk",
                name="summarize_every_chunk",
                over="find_chunks.chunks",
                each="chunk",
                bind=ASKED,
                when=When("input.policy", equals="all"),
            ),
            FanOut(
                "summarize_chunk",
                over="find_chunks.chunks",
                each="chunk",
                bind=ASKED,
                join=Join("settled"),
                when=When("input.policy", equals="at_least"),
            ),
            Step(
                "group_statements",
                bind={"found": "find_chunks.found", "policy": "input.policy", "share": "input.share"},
            ),
            FanOut(
                "combine_statements",
                over="group_statements.groups",
                each="group_id",
                bind=ASKED,
                repeat=Repeat("group_statements", when=When("group_statements.goes_on"), at_most=MOST_LEVELS),
            ),
            Step(
                "write_report",
                bind=ASKED
                | {
                    "statements_id": "group_statements.statements_id",
                    "documents_id": "find_chunks.documents_id",
                    "coverage": "group_statements.coverage",
                    "dropped": "group_statements.dropped",
                },
            ),
        ),
        result={
            "outcome": "write_report.outcome",
            "report": "write_report.report.text?",
            "report_id": "write_report.report.text_id?",
            "citations_id": "write_report.citations_id",
            "chunks": "write_report.chunks",
            "dropped": "write_report.dropped",
            # What documents of others say stands in it.
            "tainted": True,
        },
    )
)
