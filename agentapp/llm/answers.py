"""What a model call brings back: its values, and the check that an answer is whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from agentapp.errors import PermanentError
from agentapp.llm import prices, structured
from agentapp.llm.tool_calls import Gathered, ToolCall

CHARS_PER_TOKEN = 4


class EmbeddingsNotConfigured(PermanentError):
    """No embedding URL or model is set: search is full text alone. Set AGENTAPP_EMBEDDING_URL and _MODEL."""


@dataclass(frozen=True)
class Message:
    """One turn of a conversation; `role` is system, user, assistant or tool.

    `calls` are the tool calls of an assistant's message; a tool's message answers the one whose id is `call_id`.
    `reasoning` is what the model thought before it called, for providers that want to read it again.
    """

    role: str
    content: str
    calls: tuple[ToolCall, ...] = ()
    call_id: str = ""
    reasoning: str = ""


@dataclass(frozen=True)
class OfferedTool:
    """A tool as the model is told of it; `parameters` is a JSON schema of an object."""

    name: str
    description: str
    parameters: dict[str, Any]


@dataclass(frozen=True)
class Reply:
    """What a model answered and what it took.

    `data` is the checked structured answer when a schema was given. `latency_s` is the whole call, `ttft_s` the time
    to the first delta (streams only). `cost_known` is False when no price is known for the model: `cost_usd` is then 0.
    `pause_s` is for how many seconds the provider's rate headers ask to be left alone; 0 = not at all. `reasoning` is
    what the model thought before it answered, as far as the provider shows it; it is no part of `text`. `calls` are the
    tools that it wants to be called, in their order; the text may be empty then.
    """

    text: str
    model: str
    prompt_tokens: int
    completion_tokens: int
    cost_usd: Decimal
    latency_s: float
    data: dict[str, Any] | None
    finish_reason: str
    ttft_s: float | None
    cost_known: bool = True
    pause_s: float = 0.0
    reasoning: str = ""
    calls: tuple[ToolCall, ...] = ()


@dataclass(frozen=True)
class Embeddings:
    """One vector per text, in the order of the texts; all of `dimension` numbers and of the space of `model`.
    `cost_usd` is 0 where no price is known, and `cost_known` says so."""

    vectors: Sequence[Sequence[float]]
    model: str
    dimension: int
    tokens: int
    cost_usd: Decimal = Decimal(0)
    cost_known: bool = True


@dataclass
class Answer:
    """What a call gathers, whether it comes at once or in deltas."""

    model: str
    # The names of the tools that it may call.
    offered: frozenset[str] = frozenset()
    gathered: Gathered = field(default_factory=Gathered)
    calls: tuple[ToolCall, ...] = ()
    # The index of the choice that a stream began with.
    choice: int | None = None
    text: str = ""
    reasoning: str = ""
    refusal: str = ""
    finish_reason: str | None = None
    # The provider said that nothing more comes: by the end of a body, or the mark at the end of a stream.
    is_over: bool = False
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    ttft_s: float | None = None
    pause_s: float = 0.0

    @property
    def is_begun(self) -> bool:
        """Whether somebody may have read some of it already."""
        return self.ttft_s is not None


def reply(
    answer: Answer, *, messages: Sequence[Message], schema: dict[str, Any] | None, latency_s: float,
    may_be_free: bool = True,
) -> Reply:  # fmt: skip
    """Check a whole answer against its schema, and price it; `may_be_free` as in prices.price.

    Raises:
        InvalidModelOutput: it is not what the schema asks for.
    """
    data = None if schema is None else structured.parse(answer.text, schema)
    # A provider that does not count must not look free to the token budgets: estimate.
    called = [call.name + call.arguments for call in answer.calls]
    prompt_tokens = answer.prompt_tokens or estimate_tokens([message.content for message in messages])
    completion_tokens = answer.completion_tokens or estimate_tokens([answer.reasoning, answer.text, *called])
    cost = prices.price(
        answer.model, prompt_tokens=prompt_tokens, completion_tokens=completion_tokens, may_be_free=may_be_free
    )
    return Reply(
        text=answer.text,
        model=answer.model,
        prompt_tokens=prompt_tokens,
        completion_tokens=completion_tokens,
        cost_usd=cost.cost_usd,
        cost_known=cost.known,
        latency_s=latency_s,
        data=data,
        finish_reason=answer.finish_reason or "",
        ttft_s=answer.ttft_s,
        pause_s=answer.pause_s,
        reasoning=answer.reasoning,
        calls=answer.calls,
    )


def estimate_tokens(texts: Sequence[str]) -> int:
    """Guess how many tokens texts have, for a provider that does not count."""
    return sum(len(text) for text in texts) // CHARS_PER_TOKEN
