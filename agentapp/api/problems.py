"""Errors as problem documents (RFC 9457): what went wrong, and what to do about it. [A9]

Whatever is raised inside an endpoint becomes one of the kinds below. Their `type` is an address under /problems/, where
the same words can be read.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from django.core.exceptions import SuspiciousOperation, TooManyFieldsSent
from django.http import Http404, JsonResponse
from rest_framework import exceptions

from agentapp import errors
from agentapp.api import links
from agentapp.lifecycle import readiness
from agentapp.policies import bounds, faults, storable
from agentapp.policies.faults import Fault

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 5
# What clients send stands in these words: a body of half surrogates or of 100,000 wrong fields must not make an answer
# that cannot be written, or one that is larger than the request.
MOST_ERRORS = 100
MOST_CHARACTERS = 2_000
STORE_IS_AWAY = "The database or a store of files does not answer."
NOT_MIGRATED = "The database is not migrated to this release: run `manage.py migrate`."


@dataclass(frozen=True)
class Kind:
    """A sort of problem: `slug` ends its type address, `meaning` tells a client how to treat it."""

    slug: str
    status: int
    title: str
    meaning: str

    @property
    def type(self) -> str:
        return links.to(f"/problems/{self.slug}")


KINDS = {
    kind.slug: kind
    for kind in (
        Kind(
            "malformed-json",
            400,
            "The body cannot be read as JSON",
            "Send one JSON object, encoded as UTF-8, each name in it once.",
        ),
        Kind("bad-query", 400, "Invalid query parameter", "Correct the parameters after the question mark."),
        Kind("bad-request", 400, "Bad request", "Correct what `detail` names."),
        Kind(
            "unauthenticated",
            401,
            "Valid credentials are required",
            "Send `Authorization: Bearer aa_...`, or open a stream with a stream token that has not expired.",
        ),
        Kind("forbidden", 403, "Not allowed", "Use a key that holds the scope, or ask the operator of the service."),
        Kind("not-found", 404, "Not found", "Check the address, the id, and the tenant of your key."),
        Kind("method-not-allowed", 405, "Method not allowed", "Use a method that the header `Allow` lists."),
        Kind("not-acceptable", 406, "Not available in this form", "Send the `Accept` that `detail` names, or none."),
        Kind("request-timeout", 408, "The body did not arrive in time", "Send the request again."),
        Kind(
            "conflict",
            409,
            "The state of the record does not allow this",
            "Read it again, then decide whether your request still applies.",
        ),
        Kind(
            "request-in-progress",
            409,
            "An equal request is being handled",
            "Send it again in a second: you then get its answer.",
        ),
        Kind("content-missing", 410, "The content is no longer stored", "Tell the operator of the service."),
        Kind("precondition-failed", 412, "It was changed since", "Read it again, then decide what to change."),
        Kind("body-too-large", 413, "The body is too large", "Send a smaller body."),
        Kind(
            "unsupported-media-type",
            415,
            "The body has an unsupported type or encoding",
            "Send `Content-Type: application/json`, as it is or with `Content-Encoding: gzip`.",
        ),
        Kind("range-not-satisfiable", 416, "There are no such bytes", "Correct the header `Range`, or leave it out."),
        Kind("invalid-input", 422, "Invalid input", "Correct the fields that `errors` names."),
        Kind("upgrade-required", 426, "This address speaks WebSocket", "Open a WebSocket, or use what `detail` names."),
        Kind(
            "idempotency-key-reused",
            422,
            "The Idempotency-Key stands for another request",
            "Use a new key for a new request.",
        ),
        Kind(
            "too-many-tasks", 429, "Too many tasks are waiting", "Send the request again after `Retry-After` seconds."
        ),
        Kind("internal-error", 500, "Internal error", "Tell the operator of the service."),
        Kind("provider-refused", 502, "The model provider refused the request", "Tell the operator of the service."),
        Kind("unavailable", 503, "Temporarily unavailable", "Try again after `Retry-After` seconds."),
    )
}

FieldErrors = Iterable[Mapping[str, str]]


class Problem(Exception):
    """What is wrong with a request: a kind, a sentence that says what to do, and the fields that it concerns."""

    def __init__(
        self, slug: str, detail: str, *, errors: FieldErrors = (), headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.kind = KINDS[slug]
        self.detail = _shown(detail)
        self.errors = [{name: _shown(words) for name, words in error.items()} for error in islice(errors, MOST_ERRORS)]
        self.headers = dict(headers or {})

    def document(self, *, instance: str) -> dict[str, Any]:
        """Return the document about a request to the path `instance`."""
        document: dict[str, Any] = {
            "type": self.kind.type,
            "title": self.kind.title,
            "status": self.kind.status,
            "detail": self.detail,
            "instance": instance,
        }
        return document | {"errors": self.errors} if self.errors else document

    def response(self, *, instance: str) -> JsonResponse:
        """Return it as an answer. Nobody may keep it: the next try may go well."""
        return JsonResponse(
            self.document(instance=instance),
            status=self.kind.status,
            content_type=MEDIA_TYPE,
            headers={"Cache-Control": "no-store", **self.headers},
            json_dumps_params={"ensure_ascii": False},
        )


# First match wins: subclasses before their bases.
_SLUGS: tuple[tuple[type[Exception], str], ...] = (
    (errors.InvalidInput, "invalid-input"),
    (errors.InvalidPayload, "invalid-input"),
    (errors.PermissionDenied, "forbidden"),
    (errors.PolicyBlocked, "forbidden"),
    (errors.NotFound, "not-found"),
    (errors.ContentMissing, "content-missing"),
    (errors.IllegalMove, "conflict"),
    (errors.ContentChanged, "conflict"),
    (errors.BeingAsked, "request-in-progress"),
    (errors.KeyUsedOtherwise, "idempotency-key-reused"),
    (errors.ModelRefused, "provider-refused"),
    (errors.Unavailable, "unavailable"),
    (errors.TransientError, "unavailable"),
    (exceptions.NotAuthenticated, "unauthenticated"),
    (exceptions.AuthenticationFailed, "unauthenticated"),
    (exceptions.NotAcceptable, "not-acceptable"),
)


def of(error: Exception, *, allowed: Iterable[str] = ()) -> Problem:
    """Translate whatever an endpoint raised; `allowed` are the methods of its address."""
    match error:
        case Problem():
            return error
        case errors.DatabaseBusy():
            return _store_is_away(error)
        case errors.Unavailable() if error.__cause__ is not None:
            return _store_is_away(error)
        case exceptions.MethodNotAllowed():
            return method_not_allowed(sorted(allowed))
        case errors.Overloaded():
            return Problem(
                "too-many-tasks",
                str(error),
                headers=rate_limit(most=error.most, left=error.left, retry_after_s=error.retry_after_s),
            )
        case TooManyFieldsSent():
            return Problem("bad-query", "The address has too many parameters. Send fewer.")
        case SuspiciousOperation():
            return Problem("bad-request", "The request is refused, because it is not written as HTTP wants it.")
        case Http404():
            return nothing_here()
    slug = next((slug for kind, slug in _SLUGS if isinstance(error, kind)), "")
    if not slug and is_passing(error):
        return _store_is_away(error)
    if not slug and faults.is_missing(error) and _is_not_migrated():
        return unavailable(NOT_MIGRATED)
    if not slug:
        logger.error("an endpoint failed", exc_info=error)
        return internal_error()
    retry_after_s = getattr(error, "retry_after_s", None) or RETRY_AFTER_S
    if slug == "unavailable":
        return unavailable(_sentence(error), retry_after_s=retry_after_s)
    headers = {"Retry-After": "1"} if slug == "request-in-progress" else None
    return Problem(slug, _sentence(error), errors=getattr(error, "errors", ()), headers=headers)


def rate_limit(*, most: int, left: int, retry_after_s: int | None = None) -> dict[str, str]:
    """Say how many tasks may wait and how many more are accepted now, in the header fields of the IETF's draft."""
    headers = {"RateLimit-Policy": f'"waiting-tasks";q={most}', "RateLimit": f'"waiting-tasks";r={left}'}
    if retry_after_s is not None:
        headers["RateLimit"] += f";t={retry_after_s}"
        headers["Retry-After"] = str(retry_after_s)
    return headers


def unavailable(detail: str, *, retry_after_s: float = RETRY_AFTER_S) -> Problem:
    """Say that it may work in `retry_after_s` seconds; the header has whole ones."""
    wait_s = bounds.number(retry_after_s, least=1, most=bounds.LONGEST_RETRY_AFTER_S) or RETRY_AFTER_S
    return Problem("unavailable", detail, headers={"Retry-After": str(round(wait_s))})


def nothing_here() -> Problem:
    """Say that no record and no endpoint has the address."""
    return Problem("not-found", "There is nothing at this address.")


def internal_error() -> Problem:
    """Say that the service made a mistake, and nothing of it."""
    return Problem("internal-error", "The request could not be handled; the service's log says why.")


def method_not_allowed(allowed: Sequence[str]) -> Problem:
    """Say which methods an address has."""
    return Problem(
        "method-not-allowed",
        f"This address answers to {', '.join(allowed)}.",
        headers={"Allow": ", ".join(allowed)},
    )


def is_passing(error: BaseException) -> bool:
    """Tell whether the same request may go well in a moment."""
    return faults.of(error) in faults.PASSING


def _is_not_migrated() -> bool:
    with faults.caught(Fault.OUTAGE, Fault.CONTENTION, Fault.LIMIT):
        return readiness.state() == "not_migrated"
    return False


def _store_is_away(error: Exception) -> Problem:
    # The driver's words name hosts and files: they are for the log.
    logger.warning("a store does not answer: %s", error)
    return unavailable(f"{STORE_IS_AWAY} Send the request again in {RETRY_AFTER_S} seconds.")


def _shown(words: str) -> str:
    """Return words that can be sent; of long ones the middle is left out, because advice stands at the end."""
    if len(words) > MOST_CHARACTERS:
        words = f"{words[: MOST_CHARACTERS // 2]} [...] {words[-MOST_CHARACTERS // 2 :]}"
    return storable.text(words)


def _sentence(error: Exception) -> str:
    text = str(error)
    return text if text.endswith((".", "!", "?", ")")) else f"{text}."
