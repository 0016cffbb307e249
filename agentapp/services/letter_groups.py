"""Dead letters that failed alike, together: how many, since when, whom they hit, and the next one of a group. [F3]"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from django.contrib.postgres.aggregates import ArrayAgg
from django.db.models import Case, Count, F, Max, Min, Q, QuerySet, TextField, Value, When
from django.db.models.fields.json import KT
from django.db.models.functions import Greatest, TruncHour

from agentapp import clock
from agentapp.errors import EffectUnknown
from agentapp.models import Job
from agentapp.policies import fingerprint as fingerprints
from agentapp.policies import hints
from agentapp.policies.classify import ErrorKind
from agentapp.policies.hints import Hint

# What a fingerprint is made of. Letters that Postgres itself made, and older ones, have none stored.
CLASS, MESSAGE, KIND, STORED = KT("error__class"), KT("error__message"), KT("error__kind"), KT("error__fingerprint")
IN_DOUBT = EffectUnknown.__name__
HOURS = 24


@dataclass(frozen=True)
class Group:
    """Dead letters that failed alike; `message` is that of one of them.

    `hours` counts those of the last 24 hours by the hour, which begin at `since`; `tenants` are slugs.
    """

    fingerprint: str
    type: str
    error_class: str
    kind: str
    message: str
    count: int
    first_seen: datetime
    last_seen: datetime
    tenants: tuple[str, ...]
    since: datetime
    hours: tuple[int, ...]

    @property
    def is_in_doubt(self) -> bool:
        """Whether nobody knows if their effects have happened: each is decided by itself."""
        return self.error_class == IN_DOUBT

    @property
    def hint(self) -> Hint:
        return hints.of(self.error_class, self.kind)


def fingerprint_of(job: Job) -> str:
    """Return what the failures of this kind have in common: 12 hexadecimal digits."""
    error = job.error or {}
    stored: str = error.get("fingerprint") or ""
    return stored or fingerprints.of(job.type, error.get("class", ""), error.get("message", ""))


def of(rows: QuerySet[Job]) -> list[Group]:
    """The groups of these dead letters, first those that need a person most. One statement.

    What nobody knows the end of comes first, then what a person must fix before a replay, then what a replay alone may
    solve; of equals the largest group.
    """
    since = clock.now().astimezone(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=HOURS - 1)
    found: dict[str, Group] = {}
    for group in _counted(rows, since):
        known = found.get(group.fingerprint)
        found[group.fingerprint] = _joined(known, group) if known else group
    return sorted(found.values(), key=_place)


def _counted(rows: QuerySet[Job], since: datetime) -> list[Group]:
    """Letters by what is stored of their failure and by the hour."""
    # Without a stored fingerprint, letters are told apart by their message here, and find their group below.
    alone = Case(When(stored__isnull=True, then="message"), default=Value(""), output_field=TextField())
    # All that are older stand in one hour before the first that is shown.
    hour = TruncHour(Greatest("finished_at", Value(since - timedelta(hours=1))), tzinfo=UTC)
    counted = (
        rows.order_by()
        .annotate(error_class=CLASS, message=MESSAGE, stored=STORED, said=KIND)
        .values("type", "error_class", "stored", alone=alone, hour=hour)
        .annotate(
            count=Count("pk"), sample=Min("message"), kind=Min("said"), first=Min("finished_at"),
            last=Max("finished_at"), tenants=ArrayAgg(F("tenant__slug"), distinct=True),
        )
    )  # fmt: skip
    groups = []
    for row in counted:
        name, said = row["error_class"] or "", row["sample"] or ""
        hours = [0] * HOURS
        if row["hour"] >= since:
            # One that dies while this is counted may have begun the next hour.
            hours[min(int((row["hour"] - since) / timedelta(hours=1)), HOURS - 1)] = row["count"]
        groups.append(
            Group(
                row["stored"] or fingerprints.of(row["type"], name, said), row["type"], name, row["kind"] or "", said,
                row["count"], row["first"], row["last"], tuple(row["tenants"]), since, tuple(hours),
            )
        )  # fmt: skip
    return groups


def _joined(one: Group, other: Group) -> Group:
    return replace(
        one,
        message=min(one.message, other.message),
        count=one.count + other.count,
        first_seen=min(one.first_seen, other.first_seen),
        last_seen=max(one.last_seen, other.last_seen),
        tenants=tuple(sorted({*one.tenants, *other.tenants})),
        hours=tuple(a + b for a, b in zip(one.hours, other.hours, strict=True)),
    )


def _place(group: Group) -> tuple[int, int, str, str]:
    need = 0 if group.is_in_doubt else 2 if group.kind == ErrorKind.TRANSIENT.value else 1
    return (need, -group.count, group.type, group.fingerprint)


def alike(rows: QuerySet[Job], *, fingerprint: str) -> QuerySet[Job]:
    """Leave only the dead letters with this fingerprint."""
    unmarked = rows.order_by().filter(error__fingerprint__isnull=True).annotate(error_class=CLASS, message=MESSAGE)
    computed = [
        pk
        for pk, type, name, said in unmarked.values_list("pk", "type", "error_class", "message")
        if fingerprints.of(type, name or "", said or "") == fingerprint
    ]
    return rows.filter(Q(error__fingerprint=fingerprint) | Q(pk__in=computed))


@dataclass(frozen=True)
class Place:
    """Where a letter stands in its group, the oldest first; `following` is the next one, after the last the first."""

    number: int
    count: int
    following: Job | None


def place_of(rows: QuerySet[Job], job: Job) -> Place:
    """Say which of its group a letter is. It may have left the group already."""
    group = alike(rows, fingerprint=fingerprint_of(job)).exclude(pk=job.pk).order_by("finished_at", "pk")
    later = Q(finished_at__gt=job.finished_at) | Q(finished_at=job.finished_at, pk__gt=job.pk)
    before = group.exclude(later).count()
    following = group.filter(later).first() or group.first()
    return Place(before + 1, group.count() + 1, following)
