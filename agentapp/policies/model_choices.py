"""Choices of models: when the fallback is asked, and under which name gates count a model. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from agentapp.errors import ModelRefused, RateLimited, TransientError
from agentapp.policies import classify
from agentapp.policies.addresses import Target
from agentapp.secret_refs import MODEL_KEY

# A provider that asks for a longer wait is not waited for. moves.is_model_out says the same of its gate.
LONG_WAIT_S = 10.0
# What is left of the time of a body must be worth another call.
LEAST_LEFT_S = 1.0


@dataclass(frozen=True)
class AskedModel:
    """A model as it is called: its name, where, with the key in which environment variable. Empty: as the settings say.

    `limit_name` is the name under which gates count its calls. `context_tokens` is what it reads and writes at most, 0
    where nobody has said so.
    """

    model: str
    limit_name: str
    base_url: str = ""
    key_variable: str = ""
    context_tokens: int = 0

    @property
    def is_of_settings(self) -> bool:
        """Whether the provider of the settings is asked, with its key."""
        return not (self.base_url or self.key_variable)


@dataclass(frozen=True)
class Choice:
    """What a job asks, in which order, and how."""

    first: AskedModel
    fallback: AskedModel | None = None
    # temperature, max_tokens and parallel_tool_calls, as far as they are chosen.
    parameters: dict[str, Any] = field(default_factory=dict)


def of_row(row: dict[str, Any] | None, *, otherwise: AskedModel) -> Choice:
    """Read a row as a claim brings it; without one, the settings hold. A later release may say more in it."""
    if not row:
        return Choice(otherwise)
    chosen = {
        "temperature": row.get("temperature"), "max_tokens": row.get("max_output_tokens"),
        "parallel_tool_calls": row.get("parallel_tool_calls"),
    }  # fmt: skip
    return Choice(
        _asked(row, ""),
        _asked(row, "fallback_") if row.get("fallback_model") else None,
        {name: value for name, value in chosen.items() if value is not None},
    )


def _asked(row: dict[str, Any], prefix: str) -> AskedModel:
    return AskedModel(
        model=row[f"{prefix}model"], limit_name=row[f"{prefix}limit_name"],
        base_url=row.get(f"{prefix}base_url") or "", key_variable=row.get(f"{prefix}key_variable") or "",
        context_tokens=row.get(f"{prefix}context_tokens") or 0,
    )  # fmt: skip


def limit_name(model: str, *, target: Target | None, key_variable: str) -> str:
    """Return the name under which gates count a model.

    A model of another provider, or of another account there, has limits and failures of its own, and so a name of its
    own: `gpt-5-mini@llm.example.org`, with a key `gpt-5-mini@llm.example.org+ACME`.
    """
    where = f"@{target.authority}" if target else ""
    return model + where + (f"+{key_variable.removeprefix(MODEL_KEY)}" if key_variable else "")


def most_told(windows: Iterable[int], *, answer_tokens: int, otherwise: int) -> int:
    """Return how many tokens a prompt may have so that each model that may answer can read it and answer; 0: nobody has
    said so. `windows` are their contexts, `otherwise` holds where one is 0.

    A tenth stays free, because tokens are estimated; and an answer leaves the prompt half of the context.
    """
    found = [max(window // 2, window * 9 // 10 - answer_tokens) if window else otherwise for window in windows]
    return min((limit for limit in found if limit), default=0)


def another_may_answer(error: Exception) -> bool:
    """Tell whether a call that failed so may succeed with another model.

    An outage, an answer that cannot be used, a refusal, an empty account, a limit for long: yes. A limit for a moment
    is waited for. What is wrong with us (no provider, no key, a schema that is none) another model would meet as well.
    """
    if isinstance(error, RateLimited):
        return (classify.retry_after_s(error) or 0) > LONG_WAIT_S
    return isinstance(error, TransientError | ModelRefused)
