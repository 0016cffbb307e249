"""The model as a body sees it: every call is recorded, none holds a database connection."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID

from agentapp import clock, conf, llm, redaction, registry, secret_refs
from agentapp.errors import AgentappError, InvalidModelOutput
from agentapp.lifecycle import database
from agentapp.lifecycle.opened import Claimed
from agentapp.llm import prices, relayed
from agentapp.llm.answers import Embeddings, EmbeddingsNotConfigured, Message, OfferedTool, Reply
from agentapp.llm.relayed import PARALLEL, Request
from agentapp.policies import bounds, budgets
from agentapp.runtime import exchanges, prompts, spans
from agentapp.runtime import preview as previews
from agentapp.runtime.asked_budget import AskedBudget
from agentapp.runtime.chosen_model import ChosenModel
from agentapp.runtime.day_budget import DayBudget, prompt_tokens
from agentapp.runtime.model_calls import ModelCalls
from agentapp.runtime.patience import BodyPatience
from agentapp.runtime.relay import Relay
from agentapp.runtime.usage import AttemptUsage

if TYPE_CHECKING:
    from agentapp.llm.framework_client import AsyncOpenAI, OpenAI

OnDelta = Callable[[str], None]
# What is kept of an answer with the record of its call, as fields of ModelCall.
Kept = Callable[[Reply], dict[str, Any]]
# The name of this parameter of a call.
MAX_TOKENS = "max_tokens"


class Model:
    def __init__(
        self,
        job: Claimed,
        usage: AttemptUsage,
        deadline_s: Callable[[], float],
        check: Callable[[], None],
        patience: BodyPatience,
    ) -> None:
        self._job = job
        self._deadline_s = deadline_s
        self._check = check
        self._patience = patience
        self._chosen = ChosenModel(job, deadline_s, patience)
        self._relay = Relay(job, self._relayed, self.price, check, patience)
        self._day = DayBudget(job, deadline_s, patience)
        self._calls = ModelCalls(job, usage, self._day)

    def complete(
        self,
        prompt: str,
        *,
        system: str = "",
        schema: dict[str, Any] | None = None,
        schema_name: str = "answer",
        max_tokens: int | None = None,
        on_delta: Callable[[str], None] | None = None,
        preview: bool = False,
    ) -> Reply:
        """Ask the model and record the call, its tokens and its cost.

        With `schema` the reply's `data` is an object that was validated against it. The call ends within the job's
        own timeout. With `on_delta` it is read as it is written, and ends early when the task is cancelled. `preview`
        is an `on_delta` that shows the text to the streams of its task.

        Raises:
            Cancelled, LostLease: the job is no longer this attempt's.
            TransientError: time-out, connection, 408/409/425/429/5xx, truncated or malformed stream or answer.
            PermanentError: the provider refused the request.
        """
        messages = [*([Message("system", system)] if system else []), Message("user", prompt)]
        ask = partial(self._ask, messages, schema=schema, schema_name=schema_name, max_tokens=max_tokens)
        return self._answered(ask, on_delta=on_delta, preview=preview)

    def converse(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[OfferedTool] = (),
        at_most: int | None = None,
        preview: bool = False,
    ) -> Reply:
        """Ask the model for the next turn of a conversation, in which it may call tools; else as `complete`. The answer
        has `at_most` so many tokens, whatever was chosen for the model."""
        ask = partial(self._ask, messages, tools=tools, at_most=at_most)
        return self._answered(ask, on_delta=None, preview=preview)

    def client(self, *, budget: dict[str, Any] | None = None, preview: bool = False) -> OpenAI:
        """Return a client of the openai library for an agent framework in this body.

        Each of its chat completions is a call of this model: the chosen one is asked, whichever the framework names,
        behind the gates, within `budget` (turns, tokens, cost_usd and wall_clock_s of the task), and recorded. Answers
        are kept: when the job runs again, the same requests get the same answers. With `preview` the streams of the
        task show what the model writes.

        The framework hears of a failure as an exception of openai; the attempt ends with the failure itself.
        """
        return llm.framework_clients().client(partial(self._relay.answer, budget=budget, preview=preview))  # type: ignore[no-any-return]

    def async_client(self, *, budget: dict[str, Any] | None = None, preview: bool = False) -> AsyncOpenAI:
        """Return the same for asyncio."""
        answer = partial(self._relay.answer_in_thread, budget=budget, preview=preview)
        return llm.framework_clients().async_client(answer)  # type: ignore[no-any-return]

    def decisive(self, error: BaseException | None) -> BaseException | None:
        """Return the error that the attempt ends with, where its body ended with this one, or with none."""
        return self._relay.decisive(error)

    @property
    def asked_budget(self) -> AskedBudget:
        """What a person was asked about the budget of a framework."""
        return self._relay.asked_budget

    def answer_tokens(self, otherwise: int) -> int:
        """Return how many tokens an answer may have by what was chosen for the model."""
        chosen = bounds.whole(self._chosen.parameters.get(MAX_TOKENS), least=1, most=bounds.LARGEST_INTEGER)
        return chosen or otherwise

    @property
    def calls_one_by_one(self) -> bool:
        """Whether no tool that the model calls may run beside another."""
        return self._chosen.parameters.get(PARALLEL) is False

    def most_told(self, *, answer_tokens: int) -> int:
        """Return how many tokens a conversation may have before it is summarized; 0: it never is."""
        return self._chosen.most_told(answer_tokens=self.answer_tokens(answer_tokens))

    def price(self, prompt_tokens: int, completion_tokens: int) -> Decimal | None:
        """Return what a call costs in US dollars, whichever model answers that may be asked. None: not known."""
        found = [self._price(asked.model, prompt_tokens, completion_tokens) for asked in self._chosen.may_answer()]
        known = [price for price in found if price is not None]
        return max(known) if len(known) == len(found) else None

    def _price(self, model: str, prompt_tokens: int, completion_tokens: int) -> Decimal | None:
        price = prices.price(model, prompt_tokens=prompt_tokens, completion_tokens=completion_tokens)
        return price.cost_usd if price.known else None

    def _relayed(self, request: Request, *, at_most: int | None, preview: bool) -> dict[str, Any]:
        """Ask what a framework asks, and keep the answer with the record of the call."""
        answered: list[dict[str, Any]] = []

        def kept(reply: Reply) -> dict[str, Any]:
            told = relayed.completion(reply, created_s=round(clock.now().timestamp()))
            answered.append(redaction.redacted_json(told))
            return {"request_sha256": request.sha256, "answer": answered[-1]}

        self._answered(partial(self._ask_relayed, request, kept, at_most=at_most), on_delta=None, preview=preview)
        return answered[-1]

    def _ask_relayed(self, request: Request, kept: Kept, *, on_delta: OnDelta | None, at_most: int | None) -> Reply:
        more = self._within({"max_tokens": request.max_tokens, "temperature": request.temperature}, at_most)
        reserved = self._reserve(self._chosen.asked.model, budgets.tokens_of(request.texts), more[MAX_TOKENS] or 0)
        call = partial(
            llm.provider().relay, request, **more, asked=self._chosen.asked, on_delta=on_delta,
            on_progress=self._check if on_delta or request.is_streamed else None, timeout_s=self._chosen.timeout_s(),
        )  # fmt: skip
        return self._recorded(call, request.messages, [], reserved, kept)

    def _answered(self, ask: Callable[..., Reply], *, on_delta: OnDelta | None, preview: bool) -> Reply:
        """Ask the chosen model, and its fallback where it cannot answer and nobody has read a part of what it wrote."""
        read: list[str] = []
        hand_out = partial(_hand_out, on_delta, read) if on_delta else None
        if not self._chosen.is_counted:
            self.give_back()
            self._calls.begin(self._chosen.be_counted())
        while True:
            try:
                if not preview:
                    return ask(on_delta=hand_out)
                with previews.of(self._job) as shown:
                    return ask(on_delta=shown.write)
            except AgentappError as error:
                passed = None if read else self._chosen.fall_back(error)
                if passed is None:
                    raise
                self._calls.begin(passed)

    def _ask(
        self, messages: Sequence[Message], *, on_delta: OnDelta | None, at_most: int | None = None, **more: Any
    ) -> Reply:
        more = self._within(more, at_most)
        told = prompt_tokens(messages, more.get("tools", ()), more.get("schema")) if self._day.holds else 0
        reserved = self._reserve(self._chosen.asked.model, told, more.get(MAX_TOKENS) or 0)
        call = partial(
            llm.provider().complete, messages, **more, asked=self._chosen.asked,
            on_delta=on_delta, on_progress=self._check if on_delta else None, timeout_s=self._chosen.timeout_s(),
        )  # fmt: skip
        versions = prompts.versions([message.content for message in messages])
        return self._recorded(call, messages, versions, reserved)

    def _within(self, more: dict[str, Any], at_most: int | None) -> dict[str, Any]:
        """The parameters of a call, with those that were chosen, and an answer as long as it may be."""
        more = more | self._chosen.parameters
        if key := self._chosen.asked.key_variable:
            secret_refs.permit(key, held=registry.worker_classes.get(self._job.queue, ()))
        if at_most is None and self._day.holds:
            # What it takes at most must be known.
            at_most = more.get(MAX_TOKENS) or budgets.DEFAULT_ANSWER_TOKENS
        if at_most is not None:
            more[MAX_TOKENS] = min(at_most, more.get(MAX_TOKENS) or at_most)
        return more

    def _reserve(self, model: str, prompt_tokens: int, completion_tokens: int) -> UUID:
        price = self._price(model, prompt_tokens, completion_tokens) if self._day.holds else None
        return self._day.reserve(model, tokens=prompt_tokens + completion_tokens, cost_usd=price)

    def _recorded(
        self, call: Callable[[], Reply], told: Sequence[Any], versions: list[str], reserved: UUID,
        kept: Kept = lambda _: {},
    ) -> Reply:  # fmt: skip
        """Make a call, without a database connection, and write down what came of it: in the usage and at the gates."""
        started, asked = clock.now(), self._chosen.asked.model
        of: dict[str, Any] = {
            "pk": reserved, "prompts": versions, "asked_model": asked, "fallback_of": self._chosen.fallback_of,
        }  # fmt: skip
        database.release()
        try:
            reply = spans.chat(asked, call)
        except AgentappError as error:
            # An answer that does not fit its schema was paid for.
            is_known = not isinstance(error, InvalidModelOutput)
            said = exchanges.of(told, None)
            self._calls.record(started, model=asked, error=type(error).__name__, is_known=is_known, exchange=said, **of)
            raise self._calls.failed(self._chosen.key, error) from error.__cause__
        self._calls.answered(
            self._chosen.key, used=reply.prompt_tokens + reply.completion_tokens, cost_usd=reply.cost_usd,
            is_priced=reply.cost_known, closed_s=reply.pause_s or None,
        )  # fmt: skip
        self._calls.record(
            started, model=reply.model, prompt_tokens=reply.prompt_tokens, completion_tokens=reply.completion_tokens,
            cost_usd=reply.cost_usd, is_priced=reply.cost_known, exchange=exchanges.of(told, reply), **of,
            **kept(reply),
        )  # fmt: skip
        return reply

    def embed(self, texts: list[str], /, *, model: str = "") -> Embeddings:
        """Return one vector per text, in one vector space that the answer names, and record the calls as one. `model`
        is one that was configured before."""
        asked = model or conf.embedding_model()
        if asked and not self._chosen.is_counted_as(asked):
            # A tool has passed no gate of a model with its claim, and one of before has a gate of its own.
            self.give_back()
            self._calls.begin(self._chosen.be_counted(asked))
        told = budgets.tokens_of(texts) if self._day.holds else 0
        reserved = self._reserve(asked, told, 0)
        database.release()
        started = clock.now()
        key = f"model:{asked}"
        try:
            vectors = spans.embeddings(asked, partial(
                llm.provider().embed, texts, timeout_s=conf.model_timeout_s(), total_s=self._deadline_s(), model=asked
            ))  # fmt: skip
        except AgentappError as error:
            if isinstance(error, EmbeddingsNotConfigured):
                self._day.give_back(reserved)
            else:
                self._calls.record(started, model=asked, error=type(error).__name__, is_embedding=True, pk=reserved)
            raise self._calls.failed(key, error) from error.__cause__
        self._calls.answered(key, used=vectors.tokens, cost_usd=vectors.cost_usd, is_priced=vectors.cost_known)
        self._calls.record(
            started, model=vectors.model, prompt_tokens=vectors.tokens, cost_usd=vectors.cost_usd,
            is_priced=vectors.cost_known, is_embedding=True, pk=reserved,
        )  # fmt: skip
        return vectors

    def give_back(self) -> None:
        """Return what the claim has charged, if no call has used it."""
        self._calls.give_back(self._chosen.key)


def _hand_out(on_delta: OnDelta, read: list[str], piece: str) -> None:
    read[:] = [piece]
    on_delta(piece)
