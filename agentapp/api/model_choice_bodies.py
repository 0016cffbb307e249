"""What clients send of model choices."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from agentapp.api.schemas import Body, ShortReason, change_like, shown
from agentapp.services import model_choices

EXAMPLE = {"tenant": "demo", "job_type": "generate_draft", "model": "gpt-5", "fallback_model": "gpt-5-mini"}
_LONGEST = model_choices.LONGEST
_TEMPERATURE, _TOKENS = model_choices.TEMPERATURE, model_choices.OUTPUT_TOKENS
_CONTEXT = model_choices.CONTEXT_TOKENS


class ChangeModelChoice(Body):
    """PATCH /model-choices/{id}: what is left out stays as it is."""

    model_config = change_like(EXAMPLE | {"reason": "a new contract"})

    tenant: str | None = Field(None, max_length=100, description="slug; null: all tenants")
    job_type: str = Field("", max_length=_LONGEST["job_type"], description="empty: all job types that call a model")
    model: Annotated[str, shown(minLength=1, maxLength=_LONGEST["model"])] = ""
    base_url: str = Field("", max_length=_LONGEST["base_url"], description="of the provider; empty: of the settings")
    key_variable: str = Field(
        "", max_length=_LONGEST["key_variable"],
        description="name of an environment variable of the workers, MODEL_KEY_..., that holds the key",
    )  # fmt: skip
    fallback_model: str = Field("", max_length=_LONGEST["fallback_model"], description="empty: none")
    fallback_base_url: str = Field("", max_length=_LONGEST["fallback_base_url"])
    fallback_key_variable: str = Field("", max_length=_LONGEST["fallback_key_variable"])
    temperature: Annotated[float | None, shown(minimum=_TEMPERATURE[0], maximum=_TEMPERATURE[1])] = None
    max_output_tokens: Annotated[int | None, shown(minimum=_TOKENS[0], maximum=_TOKENS[1])] = None
    context_tokens: Annotated[
        int | None,
        shown(minimum=_CONTEXT[0], maximum=_CONTEXT[1]),
        Field(description="what the model reads and writes at most; null: as the setting says"),
    ] = None
    fallback_context_tokens: Annotated[int | None, shown(minimum=_CONTEXT[0], maximum=_CONTEXT[1])] = None
    parallel_tool_calls: bool | None = Field(
        None,
        description="false: the model is told to call one tool at a time, and calls that it makes at once all the same "
        "run one after the other; null: it is not told",
    )
    note: Annotated[str, shown(maxLength=_LONGEST["note"])] = ""
    reason: ShortReason = Field("", description="is recorded with the change")

    def values(self) -> dict[str, Any]:
        """Return what was sent."""
        return self.model_dump(exclude={"reason"}, exclude_unset=True)


class NewModelChoice(ChangeModelChoice):
    """POST /model-choices and PUT /model-choices/{id}: what is left out has its default."""

    model: Annotated[str, shown(minLength=1, maxLength=_LONGEST["model"])]

    def whole(self) -> dict[str, Any]:
        """Return all values, with the defaults of those that were not sent."""
        return self.model_dump(exclude={"reason"})
