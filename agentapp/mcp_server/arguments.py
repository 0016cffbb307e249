"""What the tools take. The descriptions are read by a model, and become part of each tool's schema."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field
from pydantic.json_schema import GenerateJsonSchema

from agentapp.api import idempotency, schemas
from agentapp.api.schemas import Body, Id, LabelKey, LabelValue, Moment, Reason
from agentapp.client.shapes import Choice, State
from agentapp.policies import priority, search

LONGEST_WAIT_S = 55
MOST_ROWS = 50

Labels = Annotated[dict[LabelKey, LabelValue], Field(max_length=20)]
TaskId = Annotated[Id, Field(description="The `id` of the task.")]
ApprovalState = Literal["pending", "approved", "changes_requested", "rejected", "reopened", "expired", "cancelled"]


class Nothing(Body):
    """Of a tool without arguments."""


class SubmitTask(Body):
    kind: str = Field(min_length=1, max_length=100, description="A `kind` of list_kinds.")
    input: dict[str, Any] = Field(description="An object that fits the `input_schema` of the kind.")
    labels: Labels = Field({}, description="Names and short texts, to find the task again by.")
    priority: str = Field("normal", json_schema_extra={"enum": list(priority.NAMES)})
    run_at: Moment | None = Field(None, description="Not before this time, as in 2025-01-31T08:00:00Z.")
    idempotency_key: str | None = Field(
        None,
        description="A name for this request, such as a UUID. The same request with the same name makes no second "
        f"task: give one, and send it again if no answer came. 1 to {idempotency.LONGEST} ASCII characters.",
    )

    def as_request(self) -> schemas.Submit:
        """Return it as the body of POST /tasks that asks for the same."""
        return schemas.Submit.model_validate(self.model_dump(exclude={"idempotency_key", "run_at"})).model_copy(
            update={"run_at": self.run_at}
        )


class OneTask(Body):
    task_id: TaskId


class ListTasks(Body):
    state: State | None = None
    kind: str = Field("", max_length=100)
    labels: dict[LabelKey, LabelValue] = Field({}, max_length=10, description="Tasks that have all of these labels.")
    words: str = Field("", max_length=search.LONGEST, description="Tasks with all of these words in input or result.")
    created_before: Moment | None = Field(None, description="For more: `created_at` of the last task of the answer.")
    limit: int = Field(20, ge=1, le=MOST_ROWS)


class WaitForTask(Body):
    task_id: TaskId
    timeout_s: int = Field(30, ge=1, le=LONGEST_WAIT_S, description="Wait no longer than this, in seconds.")


class CancelTask(Body):
    task_id: TaskId
    reason: Reason = Field("", description="Why, for the history of the task.")


class ListApprovals(Body):
    state: ApprovalState | None = Field("pending", description="null for all states.")
    task_id: Id | None = Field(None, description="The approvals of one task.")
    limit: int = Field(10, ge=1, le=MOST_ROWS)


class DecideApproval(Body):
    approval_id: Id = Field(description="The `id` of the approval.")
    decision: Choice = Field(
        description="approve: send the content as it is. edit: send `content` instead. request_changes: have it "
        "written again, `reason` says what should change. reject: end the task, `reason` says why."
    )
    content_sha256: str = Field(
        pattern=r"^[0-9a-f]{64}$", description="`content_sha256` of the approval that the person has seen."
    )
    content: dict[str, Any] | None = Field(
        None, description="For edit alone: the whole new content, with the fields of the old one and other texts."
    )
    reason: Reason = ""


class _WithoutTitles(GenerateJsonSchema):
    """A title that repeats the name of a field tells a model nothing, and costs it tokens."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def schema(model: type[BaseModel], *, of_answer: bool = False) -> dict[str, Any]:
    """Return the JSON Schema of what a tool takes, or answers."""
    mode: Literal["serialization", "validation"] = "serialization" if of_answer else "validation"
    found = model.model_json_schema(schema_generator=_WithoutTitles, mode=mode)
    found.pop("title", None)
    found.pop("description", None)
    return found
