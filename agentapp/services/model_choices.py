"""Choices of models: made, changed and removed. For operators: providers and keys are the platform's. [C7]"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from agentapp import registry
from agentapp.delivery.guarded_http import Guard, NoAnswer
from agentapp.errors import InvalidInput, NotFound
from agentapp.lifecycle import model_choices as moves
from agentapp.models import ModelChoice, Tenant
from agentapp.policies import addresses, bounds, model_choices, storable
from agentapp.policies.addresses import TargetNotAllowed
from agentapp.secret_refs import MODEL_KEY, is_ref
from agentapp.services import unchanged, validation
from agentapp.services.principals import Principal

READ, WRITE = "models:read", "models:write"
TEXTS = (
    "job_type", "model", "base_url", "key_variable", "fallback_model", "fallback_base_url", "fallback_key_variable",
    "note",
)  # fmt: skip
URLS = ("base_url", "fallback_base_url")
TOKENS = ("max_output_tokens", "context_tokens", "fallback_context_tokens")
PARALLEL = "parallel_tool_calls"
SETTABLE = ("tenant", *TEXTS, "temperature", *TOKENS, PARALLEL)
LONGEST = {name: getattr(ModelChoice._meta.get_field(name), "max_length", 0) for name in TEXTS}
TEMPERATURE = (0.0, 2.0)
OUTPUT_TOKENS = (1, 1_000_000)
# A window in which no turn of an agent fits is an error in writing.
CONTEXT_TOKENS = (1_000, 100_000_000)
_KEY_WORDS = f"Name an environment variable of the workers: {MODEL_KEY} and capital letters, digits or _."


def listing(principal: Principal) -> QuerySet[ModelChoice]:
    """All choices, in the order in which they were made."""
    # Who changes something is answered with what it has become.
    if WRITE not in principal.scopes:
        principal.require(READ)
    return ModelChoice.objects.select_related("tenant").order_by("id")


def get(principal: Principal, choice_id: int) -> ModelChoice:
    """Raises NotFound."""
    choice = listing(principal).filter(pk=choice_id).first()
    if choice is None:
        raise NotFound(f"There is no model choice {choice_id}.")
    return choice


def save(
    principal: Principal, choice: ModelChoice, values: dict[str, Any], *, reason: str = "",
    as_read: datetime | None = None, by: Guard | None = None,
) -> ModelChoice:  # fmt: skip
    """Make a choice or change one; it holds from the next claim on. What `values` leaves out stays as it is. `as_read`:
    only one that was last changed at that moment.

    Raises:
        IllegalMove: somebody has changed it since.
        InvalidInput: a value does not fit, or there is a choice for that tenant and job type; nothing is stored.
        NotFound: somebody has deleted it.
        PermissionDenied: the scope models:write is missing.
    """
    principal.require(WRITE)
    reason = validation.checked_reason(reason)
    # It brings a client of HTTP, which processes that change no choice need not load.
    from agentapp.llm import guarded

    # Names are looked up before a row is locked.
    guard = by or guarded.guard()
    validation.raise_problems(problem for name in URLS for problem in _of_url(name, values.get(name), choice, guard))
    with transaction.atomic():
        if choice.pk:
            choice = _locked(choice, as_read)
        before = moves.fields_of(choice) if choice.pk else None
        validation.raise_problems(_set(choice, values))
        validation.raise_problems(_of_all(choice))
        if moves.fields_of(choice) == before:
            return choice
        try:
            return moves.keep(choice, before=before, actor=principal.actor, reason=reason)
        except IntegrityError as error:
            sentence = f"There is a choice for {choice} already. Change that one."
            raise InvalidInput.at("job_type", sentence) from error


def delete(principal: Principal, choice: ModelChoice, *, reason: str = "", as_read: datetime | None = None) -> None:
    """Take a choice away. Raises NotFound when it is gone already, and as `save`."""
    principal.require(WRITE)
    reason = validation.checked_reason(reason)
    with transaction.atomic():
        moves.remove(_locked(choice, as_read), actor=principal.actor, reason=reason)


def _locked(choice: ModelChoice, as_read: datetime | None) -> ModelChoice:
    rows = ModelChoice.objects.select_for_update(of=("self",)).select_related("tenant")
    return unchanged.check(rows.filter(pk=choice.pk).first(), f"model choice {choice.pk}", as_read=as_read)


def _of_url(name: str, url: Any, choice: ModelChoice, guard: Guard) -> Iterator[tuple[str, str]]:
    """What is wrong with an address that is news. Its name is looked up, now and again at each call."""
    if not url or url == getattr(choice, name):
        return
    if "?" in str(url) or len(str(url)) > LONGEST[name]:
        yield name, f"This is an address without a query, of at most {LONGEST[name]} characters."
        return
    try:
        guard.check(str(url))
    except (TargetNotAllowed, NoAnswer) as error:
        yield name, str(error)


def _set(choice: ModelChoice, values: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Put values into a choice, and tell which cannot be. Texts of a form become numbers by this."""
    for name in TEXTS:
        text = str(values.get(name, getattr(choice, name))).strip()
        if len(text) > LONGEST[name] or not storable.is_storable(text):
            yield name, f"This is a text of at most {LONGEST[name]} characters."
        setattr(choice, name, text.rstrip("/") if name in URLS else text)
    if (sent := values.get("temperature", choice.temperature)) is not None:
        least, most = TEMPERATURE
        # What is out of range comes back as the bound of a wider one.
        number = bounds.number(sent, least=least - 1, most=most + 1)
        if number is None or not least <= number <= most:
            yield "temperature", f"This must be a number between {least:g} and {most:g}."
        sent = number
    choice.temperature = sent
    for name in TOKENS:
        if (tokens := values.get(name, getattr(choice, name))) is not None:
            fewest, greatest = OUTPUT_TOKENS if name == "max_output_tokens" else CONTEXT_TOKENS
            tokens = bounds.whole(tokens, least=fewest, most=greatest)
            if tokens is None:
                yield name, f"This must be a whole number between {fewest:,} and {greatest:,}."
        setattr(choice, name, tokens)
    parallel = values.get(PARALLEL, choice.parallel_tool_calls)
    if parallel is not None and not isinstance(parallel, bool):
        yield PARALLEL, "This must be true, false or null."
    choice.parallel_tool_calls = parallel
    if "tenant" in values:
        slug = values["tenant"] or ""
        choice.tenant = Tenant.objects.filter(slug=slug).first() if slug and storable.is_storable(slug) else None
        if slug and choice.tenant is None:
            yield "tenant", f"There is no tenant {slug!r}."


def _of_all(choice: ModelChoice) -> Iterator[tuple[str, str]]:
    """What is missing or does not go together; and the names under which its models are counted."""
    asking = registry.asking()
    if choice.job_type and choice.job_type not in asking:
        yield "job_type", f"No job type {choice.job_type!r} asks a chat model. Choose one of: {', '.join(asking)}."
    if not choice.model:
        yield "model", "This needs a value."
    if not choice.fallback_model and choice.fallback_context_tokens is not None:
        yield "fallback_model", "This needs a value, because its context is set."
    if not choice.fallback_model and (choice.fallback_base_url or choice.fallback_key_variable):
        yield "fallback_model", "This needs a value, because a provider for it is named."
    for prefix in ("", "fallback_"):
        variable = getattr(choice, f"{prefix}key_variable")
        if variable and not is_ref(variable, prefix=MODEL_KEY):
            yield f"{prefix}key_variable", _KEY_WORDS
        name = _limit_name(choice, prefix)
        if len(name) > LONGEST["model"]:
            sentence = f"With its provider and its key this may have at most {LONGEST['model']} characters."
            yield f"{prefix}model", f"{sentence} It is counted as {name!r}."
        setattr(choice, f"{prefix}limit_name", name)
    if choice.fallback_limit_name == choice.limit_name:
        yield "fallback_model", "This must be another model, or at another provider."


def _limit_name(choice: ModelChoice, prefix: str) -> str:
    model, url = getattr(choice, f"{prefix}model"), getattr(choice, f"{prefix}base_url")
    target = addresses.parse(url) if url else None
    return (
        model_choices.limit_name(model, target=target, key_variable=getattr(choice, f"{prefix}key_variable"))
        if model
        else ""
    )
