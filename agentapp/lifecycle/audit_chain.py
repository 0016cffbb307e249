"""The audit chain: entries are numbered and linked by a keyed hash, so that one which was changed, removed or put in
shows, as does a change of the record that it tells of. Who can write the database alone does not have the key.

The key is Django's SECRET_KEY, and what SECRET_KEY_FALLBACKS says it was before.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.models import Min, Q
from django.utils.crypto import constant_time_compare, salted_hmac

from agentapp.lifecycle import database, holds
from agentapp.lifecycle.audit import CHANGES_KEPT
from agentapp.models import AuditEntry

BATCH = 1_000
LOCK = (27759, 24949)  # "lo", "au"
# What is deleted by its age may be gone a little earlier than this machine's clock says.
_SLACK = timedelta(days=1)

# One short statement for a batch: people may replay ten thousand dead letters at once.
_SEAL = """
UPDATE agentapp_auditentry e SET number = u.number, text_sha256 = u.text_sha256, link = u.link
  FROM unnest(%s::bigint[], %s::bigint[], %s::text[], %s::text[]) AS u(id, number, text_sha256, link)
 WHERE e.id = u.id"""

# What an entry tells of, beside what its record says now. A task that is forgotten takes its history along.
_RECORDS = {
    "change": """
SELECT e.id, e.is_erased, c.id IS NOT NULL, agentapp_audit_detail(c) = e.detail_sha256, e.at > %(changes_since)s
  FROM agentapp_auditentry e LEFT JOIN agentapp_gatechange c ON c.id = e.source_key::bigint
 WHERE e.id = ANY(%(entries)s) AND e.source = 'change'""",
    "history": """
SELECT e.id, e.is_erased, h.seq IS NOT NULL, agentapp_audit_detail(h) = e.detail_sha256,
       EXISTS (SELECT 1 FROM agentapp_stage WHERE workflow_id = split_part(e.source_key, '/', 1)::uuid)
  FROM agentapp_auditentry e LEFT JOIN agentapp_history h
       ON h.workflow_id = split_part(e.source_key, '/', 1)::uuid AND h.seq = split_part(e.source_key, '/', 2)::int
 WHERE e.id = ANY(%(entries)s) AND e.source = 'history'""",
    "erasure": """
SELECT e.id, e.is_erased, r.id IS NOT NULL, agentapp_audit_detail(r) = e.detail_sha256, true
  FROM agentapp_auditentry e LEFT JOIN agentapp_erasure r ON r.id = e.source_key::bigint
 WHERE e.id = ANY(%(entries)s) AND e.source = 'erasure'""",
}

_KEYS = {
    "change": re.compile("[0-9]{1,18}"),
    "history": re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/[0-9]{1,9}"),
    "erasure": re.compile("[0-9]{1,18}"),
}


@dataclass(frozen=True)
class Head:
    """The newest sealed entry. Kept elsewhere, in a log, it shows a chain whose end was cut off."""

    number: int = 0
    link: str = ""


@dataclass
class Report:
    """`findings`: in words, what was tampered with. Entries without a number yet cannot be checked."""

    entries: int = 0
    erased: int = 0
    not_sealed: int = 0
    head: Head = Head()
    findings: list[str] = field(default_factory=list)


def seal(*, limit: int = BATCH) -> Head | None:
    """Number and link entries that have no number yet; return the new head, None where there was nothing to do.

    Entries whose transaction commits late get a later number than those after them: numbers tell the order of sealing.
    """
    not_sealed = AuditEntry.objects.filter(number=None).order_by("pk")
    if not not_sealed.exists():
        return None
    with database.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", LOCK)
        # What an erase is blanking just now is sealed when it has ended: the two never wait for each other.
        waiting = list(not_sealed.select_for_update(skip_locked=True)[:limit])
        if not waiting:
            return None
        head = newest()
        for entry in waiting:
            entry.number, entry.text_sha256 = head.number + 1, _text_sha256(entry)
            entry.link = _link(entry, head.link, settings.SECRET_KEY)
            head = Head(entry.number, entry.link)
        with connection.cursor() as cursor:
            columns = ("pk", "number", "text_sha256", "link")
            cursor.execute(_SEAL, [[getattr(entry, name) for entry in waiting] for name in columns])
    return head


def newest() -> Head:
    found = AuditEntry.objects.exclude(number=None).order_by("-number").values_list("number", "link").first()
    return Head(int(found[0] or 0), found[1]) if found else Head()


def forget(*, older_than_days: int, limit: int = BATCH) -> int:
    """Delete up to `limit` of the oldest entries, from the beginning of the chain on, and return how many.

    The last that is old enough stays: by its age one sees that those before it went by theirs. So does what a legal
    hold on its tenant keeps, with all after it.
    """
    before = database.now() - timedelta(days=older_than_days)
    with database.atomic():
        holds.wait_for_holds()
        kept = AuditEntry.objects.filter(Q(at__gte=before) | Q(tenant_number__in=holds.held_tenants()))
        first_kept = kept.aggregate(first=Min("number"))["first"] or newest().number
        oldest = AuditEntry.objects.filter(number__lt=first_kept - 1).order_by("number").values_list("pk", flat=True)
        return AuditEntry.objects.filter(pk__in=list(oldest[:limit])).delete()[0]


def verify(*, kept_days: int, expected: Head | None = None) -> Report:
    """Go through the whole chain and the records that it tells of.

    `kept_days`: how long entries are kept, 0 forever. `expected`: a head that was seen before, and must still be there.
    """
    report = Report(not_sealed=AuditEntry.objects.filter(number=None).count())
    now = database.now()
    before: AuditEntry | None = None
    first, links = 0, dict[int, str]()
    for batch in _batches():
        sound = {entry.pk for entry in batch if _is_as_sealed(entry)}
        gone = dict(_records(sound, changes_since=now - CHANGES_KEPT + _SLACK))
        if before is not None and not AuditEntry.objects.filter(number=before.number).exists():
            # Its time was over meanwhile, or else the next one is too young to be the first.
            before = None
        first = first or int(batch[0].number or 0)
        for entry in batch:
            if entry.pk not in sound:
                report.findings.append(f"{_name(entry)}: it says something else than when it was sealed")
            report.findings += _faults(entry, before, oldest=now - timedelta(days=kept_days) if kept_days else None)
            if entry.pk in gone:
                report.findings.append(f"{_name(entry)}: {gone[entry.pk]}")
            report.entries, report.erased = report.entries + 1, report.erased + entry.is_erased
            if expected and entry.number == expected.number:
                links[expected.number] = entry.link
            before = entry
    if before is not None:
        report.head = Head(int(before.number or 0), before.link)
    # Of a head from before the oldest that is left nothing is known; whether that one may be the oldest was looked at.
    is_too_old = expected is not None and expected.number < first
    if expected and not is_too_old and links.get(expected.number) != expected.link:
        report.findings.append(f"entry {expected.number} is not the one that was seen: it was replaced, or cut off")
    return report


def _batches() -> Iterator[list[AuditEntry]]:
    after = 0
    while batch := list(AuditEntry.objects.filter(number__gt=after).order_by("number")[:BATCH]):
        yield batch
        after = int(batch[-1].number or 0)


def _faults(entry: AuditEntry, before: AuditEntry | None, *, oldest: datetime | None) -> Iterator[str]:
    """What does not fit an entry to the one before it."""
    number = int(entry.number or 0)
    missing = number - int(before.number or 0) - 1 if before else number - 1
    if before is None and number > 1:
        # Nothing is left that this one could be checked by.
        if oldest is None or entry.at > oldest + _SLACK:
            yield f"{_name(entry)}: {missing} before it are gone, which should have been kept"
        return
    if missing:
        yield f"{_name(entry)}: {missing} before it are gone"
    link = before.link if before else ""
    secrets = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    if not any(constant_time_compare(_link(entry, link, secret), entry.link) for secret in secrets):
        yield f"{_name(entry)}: its link does not follow from the one before: something was changed, removed or put in"


def _is_as_sealed(entry: AuditEntry) -> bool:
    """Whether an entry says what it said; one that was erased says nothing. What was written by hand may be no key."""
    key = _KEYS.get(entry.source)
    if key is None or not key.fullmatch(entry.source_key):
        return False
    if entry.is_erased:
        return not (entry.actor or entry.action or entry.target) and entry.tenant_number is None
    return _text_sha256(entry) == entry.text_sha256


def _records(entries: set[int], *, changes_since: datetime) -> Iterator[tuple[int, str]]:
    """What is wrong with the records of these entries, by entry."""
    wanted: dict[str, Any] = {"entries": list(entries), "changes_since": changes_since}
    found: list[tuple[int, bool, bool, bool, bool]] = []
    with database.atomic(), connection.cursor() as cursor:
        for statement in _RECORDS.values():
            cursor.execute(statement, wanted)
            found += cursor.fetchall()
    for key, is_erased, is_there, is_same, should_be_there in found:
        if is_erased:
            if is_there:
                yield key, "it was erased, and the record that it tells of is there"
        elif is_there and not is_same:
            yield key, "the record that it tells of was changed"
        elif not is_there and should_be_there:
            yield key, "the record that it tells of is gone"


def _name(entry: AuditEntry) -> str:
    said = "erased" if entry.is_erased else f"{entry.actor} {entry.action} {entry.target}"
    return f"entry {entry.number} ({said})"


def _text_sha256(entry: AuditEntry) -> str:
    said = (
        entry.at.isoformat(timespec="microseconds"), entry.tenant_number, entry.actor, entry.action, entry.target,
        entry.source, entry.source_key, entry.detail_sha256,
    )  # fmt: skip
    return sha256(json.dumps(said).encode()).hexdigest()


def _link(entry: AuditEntry, before: str, secret: str | bytes) -> str:
    text = f"{entry.number} {entry.text_sha256} {before}"
    return salted_hmac("agentapp.audit", text, secret=secret, algorithm="sha256").hexdigest()
