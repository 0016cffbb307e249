"""Vectors that the web process and commands need: recorded and paid for like those of jobs."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from functools import partial

from agentapp import clock, conf, llm
from agentapp.errors import AgentappError, PermanentError, TransientError
from agentapp.ids import uuid7
from agentapp.lifecycle import spending
from agentapp.lifecycle.spending import Status
from agentapp.llm import prices
from agentapp.llm.answers import Embeddings, EmbeddingsNotConfigured
from agentapp.models import ModelCall
from agentapp.policies import budgets
from agentapp.retrieval.embedding import Embed

# How long a call may take that embeds a document in many requests; then its reservation is not counted any more.
RESERVED_S = 600
# When a client may ask again where the day of its tenant is used up.
ASKED_AGAIN_S = 3_600


def of_tenant(tenant_id: int) -> Embed:
    """Return what embeds texts for a tenant, outside of any task.

    It raises TransientError or PermanentError when the model fails or the budget of the tenant's day is used up, and
    EmbeddingsNotConfigured.
    """
    return partial(_embed, tenant_id)


def _embed(tenant_id: int, texts: Sequence[str], /, *, model: str = "") -> Embeddings:
    model = model or conf.embedding_model()
    call = ModelCall(id=uuid7(), tenant_id=tenant_id, model=model, is_embedding=True, started_at=clock.now())
    is_reserved = spending.is_budgeted(tenant_id)
    if is_reserved:
        _reserve(call, tokens=budgets.tokens_of(texts))
    try:
        vectors: Embeddings = llm.provider().embed(list(texts), timeout_s=conf.model_timeout_s(), model=model)
    except EmbeddingsNotConfigured:
        if is_reserved:
            spending.settle(call.pk, tokens=0, cost_usd=Decimal(0))
        raise
    except AgentappError as error:
        _record(call, is_reserved=is_reserved, error_class=type(error).__name__)
        raise
    _record(
        call, is_reserved=is_reserved, model=vectors.model, prompt_tokens=vectors.tokens, cost_usd=vectors.cost_usd,
        is_priced=vectors.cost_known,
    )  # fmt: skip
    return vectors


def _record(call: ModelCall, *, is_reserved: bool, **told: object) -> None:
    for name, value in told.items():
        setattr(call, name, value)
    call.latency_s = (clock.now() - call.started_at).total_seconds()
    spending.record(call, is_reserved=is_reserved)


def _reserve(call: ModelCall, *, tokens: int) -> None:
    price = prices.price(call.model, prompt_tokens=tokens, completion_tokens=0)
    cost_usd = price.cost_usd if price.known else None
    told = spending.reserve(call.tenant_id, call.pk, tokens=tokens, cost_usd=cost_usd, seconds=RESERVED_S)
    if told.status is Status.UNPRICED:
        raise PermanentError(
            f"the price of the model {call.model} is not known, so the tenant's budget of money cannot be kept; set "
            "tokens_per_day instead"
        )
    if told.status is Status.TOO_LARGE:
        raise PermanentError(f"it may use {tokens} tokens, which is more than the budget of a whole day allows")
    if told.status is not Status.OK:
        wait_s = ASKED_AGAIN_S if told.status is Status.USED_UP else 5
        raise TransientError("the budget of the tenant's day is used up", retry_after_s=wait_s)
