"""The form of a model choice: its fields in groups, what was typed into them, and what is wrong beside each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agentapp.admin import form
from agentapp.admin.form import Field
from agentapp.models import ModelChoice
from agentapp.services import model_choices

NAMES = (*model_choices.SETTABLE, "reason")
_PROVIDER = "Its OpenAI-compatible address, as in https://llm.example.org/v1. Empty: that of the settings."
_KEY = "The name of an environment variable, MODEL_KEY_..., of the workers that call models. The key is not kept here."
_CONTEXT = "Tokens that it reads and writes at most: longer conversations are summarized. Empty: as the settings say."
_PARALLEL = "Whether the model may call several tools at once. If not, calls that come at once run one after the other."
_MAY = {"": "the model is not told", "true": "several at once", "false": "one after the other"}
_SENT: dict[str, bool | None] = {"": None, "true": True, "false": False}
_GROUPS: tuple[tuple[str, tuple[Field, ...]], ...] = (
    (
        "Applies to",
        (
            Field("tenant", "Tenant", "The slug of a tenant. Empty: all tenants.", "text"),
            Field("job_type", "Job type", "As in generate_draft. Empty: all that call a model.", "text"),
        ),
    ),
    (
        "Model",
        (
            Field("model", "Model", "As its provider names it.", "text"),
            Field("base_url", "Provider", _PROVIDER, "text", most=500),
            Field("key_variable", "Key", _KEY, "text"),
            Field("context_tokens", "Context", _CONTEXT),
        ),
    ),
    (
        "Fallback",
        (
            Field("fallback_model", "Model", "Asked where the first one cannot answer. Empty: none.", "text"),
            Field("fallback_base_url", "Provider", _PROVIDER, "text", most=500),
            Field("fallback_key_variable", "Key", _KEY, "text"),
            Field("fallback_context_tokens", "Context", _CONTEXT),
        ),
    ),
    (
        "Parameters",
        (
            Field("temperature", "Temperature", "0 to 2. Empty: as the job type asks.", "text"),
            Field("max_output_tokens", "Output tokens", "How many at most. Empty: as the job type asks."),
            Field(model_choices.PARALLEL, "Tool calls", _PARALLEL, "choice", options=tuple(_MAY.items())),
        ),
    ),
    (
        "Reason",
        (
            Field("note", "Note", "Why it is so. Kept with the choice.", "long"),
            Field("reason", "Reason for this change", "Optional. Shown under Changes.", "line"),
        ),
    ),
)


def values(entered: Mapping[str, str]) -> dict[str, Any]:
    """What the service is given; an empty number is none."""
    numbers = {name: entered[name] or None for name in ("temperature", *model_choices.TOKENS)}
    parallel = entered[model_choices.PARALLEL]
    # What is no option is refused by the service.
    sent = {model_choices.PARALLEL: _SENT.get(parallel, parallel)}
    return {name: entered[name] for name in model_choices.SETTABLE} | numbers | sent


def shown(choice: ModelChoice) -> dict[str, str]:
    """What the fields of a choice show."""
    shown = {name: getattr(choice, name) for name in model_choices.SETTABLE}
    shown["tenant"] = choice.tenant.slug if choice.tenant else ""
    shown[model_choices.PARALLEL] = next(name for name, sent in _SENT.items() if sent is shown[model_choices.PARALLEL])
    return {name: "" if value is None else str(value) for name, value in shown.items()}


def groups(entered: Mapping[str, str], errors: Mapping[str, str]) -> list[tuple[str, list[Field]]]:
    """The form: titles, each with its fields as they stand."""
    return form.filled(_GROUPS, entered, errors)
