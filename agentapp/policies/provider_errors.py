"""What the refusal of a model provider means: its status, its codes and its words, as one verdict. [F1] [F2]

Providers agree on little. The same refusal comes as a code, as a type, as a status in the body of an answer that says
200, or as a sentence alone. Everything that knows those spellings stands here.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

from agentapp.policies import bounds, faults, storable
from agentapp.policies.faults import Fault

LONGEST_WORDS = 500
DEEPEST = 6


class Verdict(Enum):
    LIMITED = "too many requests or tokens: it works again in a while"
    QUOTA = "the account has no money or quota left: a person must act"
    TRANSIENT = "it may work next time"
    MALFORMED = "what the model wrote was no call or no JSON, and may be one next time"
    TOO_LONG = "the prompt is longer than what the model reads"
    REFUSED = "the same request would be refused again"


# What the account has used up. 402 is Payment Required.
QUOTA_CODES = frozenset(
    {"402", "insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "insufficient_balance",
     "insufficient_credits", "insufficient_funds", "credit_balance_too_low", "payment_required", "billing_error"}
)  # fmt: skip
_ACCOUNT_STATUS = frozenset({403, 429})
QUOTA_WORDS = re.compile(
    r"(your )?(insufficient[ _](quota|balance|credits?|funds)|credit balance is too low|billing hard limit"
    r"|out of credits|(you )?exceeded your current quota|payment required|account is not active)",
    re.IGNORECASE,
)
LIMITED_CODES = frozenset(
    {"429", "rate_limit_exceeded", "rate_limit_error", "rate_limited", "too_many_requests", "resource_exhausted",
     "requests", "tokens", "throttling", "throttlingexception"}
)  # fmt: skip
TRANSIENT_CODES = frozenset(
    {"server_error", "internal_error", "internal_server_error", "internal", "api_error", "overloaded",
     "overloaded_error", "unavailable", "service_unavailable", "timeout", "timeout_error", "deadline_exceeded",
     "engine_overloaded", "upstream_error", "bad_gateway", "provider_unavailable", "unknown"}
)  # fmt: skip
REFUSED_CODES = frozenset(
    {"invalid_request_error", "invalid_argument", "authentication_error", "invalid_api_key", "permission_error",
     "permission_denied", "unauthenticated", "not_found_error", "not_found", "model_not_found", "badrequesterror",
     "context_length_exceeded", "content_filter", "content_policy_violation", "unsupported_parameter",
     "unsupported_value", "request_too_large", "string_above_max_length", "invalid_prompt", "failed_precondition"}
)  # fmt: skip
# A refusal that has nothing to do with how the request is written.
DEFINITE_CODES = QUOTA_CODES | frozenset(
    {"authentication_error", "invalid_api_key", "permission_error", "permission_denied", "unauthenticated",
     "model_not_found", "content_filter", "content_policy_violation", "invalid_prompt"}
)  # fmt: skip
# Groq refuses what its own model wrote: a call of a tool, or an object.
MALFORMED_CODES = frozenset({"tool_use_failed", "json_validate_failed"})
TOO_LONG_CODES = frozenset(
    {"context_length_exceeded", "context_window_exceeded", "exceed_context_size_error", "string_above_max_length",
     "request_too_large", "model_max_prompt_tokens_exceeded"}
)  # fmt: skip
TOO_LONG_WORDS = re.compile(
    r"context[ _-]?(length|window|size|limit)|maximum context|(prompt|input|request|conversation) is too (long|large)"
    r"|(input|prompt) token(s| count)?\b.{0,60}exceed|maximum (number of|input|prompt)( length| tokens)?\b.{0,40}tokens"
    r"|reduce the length of (the|your)|too many (input |prompt )?tokens|tokens? .{0,40}too large for",
    re.IGNORECASE,
)
_EXCEEDED = re.compile(r"exceed|too (long|large|many)", re.IGNORECASE)

_CODE_FIELDS = ("code", "type", "status", "error_type", "reason", "param")
_WORD_FIELDS = ("message", "msg", "detail", "description", "error", "errors", "raw", "title", "reason", "metadata")
_SPACES = re.compile(r"[\s\x00-\x1f\x7f]+")
_INVISIBLE = re.compile(r"<(script|style)\b.*?</\1\s*>|<[^>]*>", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class Refusal:
    """What a provider said instead of an answer: its codes in lower case, and its words, short and printable."""

    codes: frozenset[str]
    words: str

    @property
    def is_definite(self) -> bool:
        """Whether another way to ask cannot help: the key, the account, the model or the content is refused."""
        return bool(self.codes & (DEFINITE_CODES | MALFORMED_CODES))

    @property
    def is_malformed_call(self) -> bool:
        return bool(self.codes & MALFORMED_CODES)

    @property
    def is_too_long(self) -> bool:
        return bool(self.codes & TOO_LONG_CODES) or bool(TOO_LONG_WORDS.search(self.words))


def read(body: Any) -> Refusal:
    """Find codes and words in a body of any shape: an object, a list of them, JSON within a string, HTML, text."""
    return Refusal(frozenset(_codes(body, DEEPEST)), short("; ".join(dict.fromkeys(_words(body, DEEPEST)))))


def judge(status: int | None, refusal: Refusal, *, asks_to_wait: bool = False) -> Verdict:
    """Say what follows a refusal. `status` is None when it came inside an answer of status 200: its codes decide then.

    `asks_to_wait`: the provider said for how long, which nobody does about an empty account.
    """
    status = status if status is not None else status_within(refusal.codes)
    if refusal.codes & QUOTA_CODES or status == 402:
        return Verdict.QUOTA
    # A refusal of what was written may quote it: only where the status speaks of the account do words within it count.
    tells = QUOTA_WORDS.search if status in _ACCOUNT_STATUS else QUOTA_WORDS.match
    # Gemini says "exceeded your current quota" of a limit per minute, too, with the code RESOURCE_EXHAUSTED.
    if tells(refusal.words) and not asks_to_wait and "resource_exhausted" not in refusal.codes:
        return Verdict.QUOTA
    if refusal.is_malformed_call:
        return Verdict.MALFORMED
    if status == 429 or (status is None and refusal.codes & LIMITED_CODES):
        return Verdict.LIMITED
    # llama.cpp says 500 where others say 400.
    is_certain = status is None or status < 500 or _EXCEEDED.search(refusal.words)
    if refusal.is_too_long and is_certain and status not in _ACCOUNT_STATUS:
        return Verdict.TOO_LONG
    if status is not None:
        return Verdict.TRANSIENT if faults.of_status(status) is Fault.LIMIT else Verdict.REFUSED
    if refusal.codes & TRANSIENT_CODES or not refusal.codes & REFUSED_CODES:
        # What nobody knows, inside an answer that says 200, is some trouble behind the provider's own gateway.
        return Verdict.TRANSIENT
    return Verdict.REFUSED


def short(text: str, *, most: int = LONGEST_WORDS) -> str:
    """Return foreign words on one line, printable and at most so long."""
    line = _SPACES.sub(" ", storable.text(text[: 10 * most])).strip()
    return line if len(line) <= most else f"{line[: most - 1]}…"


def status_within(codes: frozenset[str]) -> int | None:
    """Return the HTTP status that a body names as its code."""
    found = [bounds.whole(code, least=400, most=599) for code in sorted(codes)]
    return next((status for status in found if status is not None), None)


def _codes(body: Any, deepest: int) -> Iterator[str]:
    if isinstance(body, list):
        for part in body[:10] if deepest else ():
            yield from _codes(part, deepest - 1)
    elif isinstance(body, str):
        inner = _inner(body)
        if inner is not None and deepest:
            yield from _codes(inner, deepest - 1)
    elif isinstance(body, dict):
        for name, value in list(body.items())[:50]:
            if name in _CODE_FIELDS and isinstance(value, str | int) and not isinstance(value, bool):
                yield str(value)[:100].lower()
            elif isinstance(value, dict | list | str) and deepest and name not in ("choices", "input"):
                yield from _codes(value, deepest - 1)


def _words(body: Any, deepest: int) -> Iterator[str]:
    if isinstance(body, str):
        inner = _inner(body) if deepest else None
        found = list(_words(inner, deepest - 1)) if inner is not None else []
        yield from found or [_plain(body)]
    elif isinstance(body, list):
        for part in body[:5] if deepest else ():
            yield from _words(part, deepest - 1)
    elif isinstance(body, dict) and deepest:
        where = body.get("loc")
        place = ".".join(str(part) for part in where[:10]) + ": " if isinstance(where, list) and where else ""
        for name in _WORD_FIELDS:
            if body.get(name):
                yield from (place + words for words in _words(body[name], deepest - 1) if words)


def _inner(text: str) -> Any:
    """Return the object or list that a text holds as JSON, as gateways wrap the errors of those behind them."""
    start = text.lstrip()[:1]
    if start not in ("{", "["):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _plain(text: str) -> str:
    """Return a text without the markup of a web page."""
    text = text[: 10 * LONGEST_WORDS]
    return short(html.unescape(_INVISIBLE.sub(" ", text))) if text.lstrip()[:1] == "<" else short(text)
