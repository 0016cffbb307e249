"""Which model jobs call. For operators."""

from __future__ import annotations

from typing import Annotated

import pydantic
from pydantic import Field
from typing_extensions import TypedDict

from agentapp.api.answers import values
from agentapp.api.answers.values import Moment


@pydantic.with_config(
    values.like(
        {
            "id": 3, "tenant": "demo", "job_type": "generate_draft", "model": "gpt-5", "base_url": "",
            "key_variable": "", "limit_name": "gpt-5", "fallback_model": "large",
            "fallback_base_url": "https://llm.example.org/v1", "fallback_key_variable": "MODEL_KEY_SECOND",
            "fallback_limit_name": "large@llm.example.org+SECOND", "temperature": 0.2, "max_output_tokens": 2_000,
            "context_tokens": 200_000, "fallback_context_tokens": None, "parallel_tool_calls": None, "note": "",
            "updated_at": values.MOMENT,
        }
    )
)  # fmt: skip
class ModelChoice(TypedDict):
    """Which model the jobs of a tenant and a job type call. Keys are named, never shown."""

    id: int
    tenant: Annotated[str | None, Field(description="slug; null: all tenants")]
    job_type: Annotated[str, Field(description="empty: all job types that call a model")]
    model: str
    base_url: Annotated[str, Field(description="of the provider; empty: that of the settings")]
    key_variable: Annotated[str, Field(description="the environment variable of the workers that holds the key")]
    limit_name: Annotated[str, Field(description="the name under which gates count its calls")]
    fallback_model: Annotated[str, Field(description="asked where the model cannot answer; empty: none")]
    fallback_base_url: str
    fallback_key_variable: str
    fallback_limit_name: str
    temperature: Annotated[float | None, Field(description="null: as the job type asks")]
    max_output_tokens: Annotated[int | None, Field(description="null: as the job type asks")]
    context_tokens: Annotated[
        int | None, Field(description="what the model reads and writes at most; null: as the setting says")
    ]
    fallback_context_tokens: int | None
    parallel_tool_calls: Annotated[
        bool | None, Field(description="whether the model may call several tools at once; null: it is not told")
    ]
    note: str
    updated_at: Moment
