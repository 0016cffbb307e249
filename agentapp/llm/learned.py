"""What refusals have taught about each model: kept in Postgres for all processes, and in memory for a few minutes.

It is forgotten after a day, so that what a provider learns to take is used again. Postgres is not needed for a call:
where it does not answer, a process knows what it has learned itself.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from django.db import transaction

from agentapp import clock
from agentapp.lifecycle import database
from agentapp.llm.capabilities import Form
from agentapp.models import ModelCapability
from agentapp.observability import events
from agentapp.policies import bounds, faults
from agentapp.policies.faults import Fault

KEPT = timedelta(days=1)
IN_MEMORY_S = 300.0
MOST_BATCH = 64


@dataclass(frozen=True)
class Learned:
    """`form` is how to ask for completions, `batch` how many texts are embedded at once.

    `is_unopened`: the model writes the mark that ends its reasoning, but not the one that begins it.
    """

    form: Form = field(default_factory=Form)
    batch: int = MOST_BATCH
    is_unopened: bool = False

    def merged(self, other: Learned) -> Learned:
        return Learned(
            form=self.form.merged(other.form),
            batch=min(self.batch, other.batch),
            is_unopened=self.is_unopened or other.is_unopened,
        )


@dataclass
class _Known:
    """`proven` is what has worked since it was read: forms, with the questions that were asked in them."""

    learned: Learned
    read_at_s: float
    proven: set[tuple[Form, str]] = field(default_factory=set)
    has_answered: bool = False


# Without a lock: threads that read or learn the same at once find the same, or learn it once more.
_known: dict[tuple[str, str], _Known] = {}


def recall(base_url: str, model: str) -> Learned:
    """Return what is known about a model; it may cost one query, after which the connection is given back."""
    key = _key(base_url, model)
    known = _known.get(key)
    if known is None or time.monotonic() - known.read_at_s > IN_MEMORY_S:
        found = _patiently(lambda: _read(key))
        learned = found if found is not None else known.learned if known else Learned()
        known = _known[key] = _Known(learned, time.monotonic(), has_answered=known is not None and known.has_answered)
    return known.learned


def remember(base_url: str, model: str, learned: Learned) -> None:
    """Keep what was learned, together with what others have learned meanwhile."""
    key = _key(base_url, model)
    merged = recall(base_url, model).merged(learned)
    kept = _patiently(lambda: _write(key, merged))
    _known[key] = replace(_known[key], learned=kept or merged)
    events.emit("model.learned", level=logging.WARNING, model=model, learned=asdict(merged))


def prove(base_url: str, model: str, form: Form, kind: str) -> None:
    """Note that a form works for a kind of question; it is doubted again when the rest is read again."""
    if (known := _known.get(_key(base_url, model))) is not None:
        known.proven.add((form, kind))
        known.has_answered = True


def is_proven(base_url: str, model: str, form: Form, kind: str) -> bool:
    known = _known.get(_key(base_url, model))
    return known is not None and (form, kind) in known.proven


def has_answered(base_url: str, model: str) -> bool:
    """Whether a model has answered in this process, so that we know how it writes."""
    known = _known.get(_key(base_url, model))
    return known is not None and known.has_answered


def forget() -> None:
    """Drop what this process has in memory."""
    _known.clear()


def _key(base_url: str, model: str) -> tuple[str, str]:
    """Name a model as the table does: without what an address may hold of secrets."""
    parts = urlsplit(base_url)
    address = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
    return address[:500], model[:200]


def _patiently(move: Callable[[], Learned | None]) -> Learned | None:
    found = None
    # What was learned saves requests: a database that is away must not cost a call.
    with faults.caught(Fault.OUTAGE, Fault.CONTENTION, Fault.LIMIT, Fault.REFUSED) as caught:
        found = move()
    if caught.error is not None:
        events.emit("model.not_remembered", level=logging.WARNING, error=caught.error)
    # The call to the model follows, and no call holds a connection.
    database.release()
    return found


def _read(key: tuple[str, str]) -> Learned:
    row = ModelCapability.objects.filter(base_url=key[0], model=key[1], learned_at__gt=clock.now() - KEPT).first()
    return _of_json(row.learned) if row else Learned()


def _write(key: tuple[str, str], learned: Learned) -> Learned:
    with transaction.atomic():
        row, _ = ModelCapability.objects.select_for_update().get_or_create(
            base_url=key[0], model=key[1], defaults={"learned_at": clock.now()}
        )
        if row.learned_at > clock.now() - KEPT:
            learned = learned.merged(_of_json(row.learned))
        row.learned, row.learned_at = asdict(learned), clock.now()
        row.save()
    return learned


def _of_json(kept: Any) -> Learned:
    """Read what a row holds; another release may have written it, and what it says is not trusted to be known here."""
    kept = kept if isinstance(kept, dict) else {}
    form = kept.get("form")
    return Learned(
        form=Form.of(form if isinstance(form, dict) else {}),
        batch=bounds.whole(kept.get("batch"), least=1, most=MOST_BATCH) or MOST_BATCH,
        is_unopened=kept.get("is_unopened") is True,
    )
