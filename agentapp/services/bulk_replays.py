"""Many dead letters of one kind, replayed together: a few first, then the rest, until too many fail again. [F3]"""

from __future__ import annotations

from uuid import UUID

from django.db.models import Q, QuerySet

from agentapp.errors import IllegalMove, InvalidInput, NotFound
from agentapp.lifecycle import bulk as moves
from agentapp.models import BulkReplay, Job
from agentapp.policies.counting import count
from agentapp.services import bulk_operations, dead_letters, letter_groups
from agentapp.services.bulk_operations import MOST
from agentapp.services.principals import Principal

CANARY = 1
BATCH = 100


def start(
    principal: Principal,
    *,
    fingerprint: str = "",
    type: str = "",
    canary: int = CANARY,
    batch: int = BATCH,
    tenant_id: int | None = None,
) -> BulkReplay:
    """Begin to replay all dead letters with this fingerprint, or of this job type; the dispatcher goes on with it.

    First `canary` of them, oldest first; when those are completed the rest, `batch` under way at once. At most 20,000
    are taken; what is left stands in the row's selection as `left_out`. A superuser without `tenant_id` means all
    tenants. Letters whose task is over cannot run and are not counted; those whose effect may have happened are decided
    by a person one by one: they are left out, as `in_doubt` of the selection.

    Raises:
        InvalidInput: not exactly one of fingerprint and type, or a number that makes no sense.
        NotFound: there is no such dead letter.
        IllegalMove: they are being replayed already, or of all of them nobody knows whether their effect has happened.
    """
    principal.require("dead_letters:write")
    if bool(fingerprint) == bool(type):
        raise InvalidInput.at("fingerprint", "Name the dead letters either by their fingerprint or by their job type.")
    if canary < 1 or batch < 1:
        raise InvalidInput.at("canary" if canary < 1 else "batch", "This must be 1 or more.")
    tenant_id = bulk_operations.chosen_tenant(principal, tenant_id, needs="dead_letters:write")
    rows = dead_letters.listing(principal).filter(workflow__finished_at=None)
    if tenant_id is not None:
        rows = rows.filter(tenant_id=tenant_id)
    rows = letter_groups.alike(rows, fingerprint=fingerprint) if fingerprint else rows.filter(type=type)
    named = {"fingerprint": fingerprint} if fingerprint else {"type": type}
    found, in_doubt = _selected(rows, named)
    return moves.start(
        tenant_id=tenant_id, selection=named, job_type=found[0][1], jobs=[pk for pk, _ in found[:MOST]],
        left_out=len(found[MOST:]), in_doubt=in_doubt, canary=canary, batch=batch, actor=principal.actor,
    )  # fmt: skip


def _selected(rows: QuerySet[Job], named: dict[str, str]) -> tuple[list[tuple[UUID, str]], int]:
    """Those that can be replayed together, oldest first, and how many are decided one by one. Raises as `start`."""
    in_doubt = rows.filter(error__class=letter_groups.IN_DOUBT).count()
    known = rows.exclude(error__class=letter_groups.IN_DOUBT)
    found = list(known.order_by("finished_at", "pk").values_list("pk", "type"))
    if not found and in_doubt:
        raise IllegalMove(
            f"Of {count(in_doubt, 'dead letter')} nobody knows whether the effect has happened. Decide each by itself."
        )
    if not found:
        name, value = next(iter(named.items()))
        raise NotFound(f"This tenant has no dead letter with the {name} {value} that can be replayed.")
    return found, in_doubt


def going_on(
    principal: Principal, *, fingerprint: str = "", type: str = "", tenant_id: int | None = None
) -> BulkReplay | None:
    """The bulk replay that has not ended and replays this group, by its fingerprint or with all of its job type."""
    principal.require("dead_letters:write")
    tenant_id = bulk_operations.chosen_tenant(principal, tenant_id, needs="dead_letters:write")
    open_ones = listing(principal).filter(tenant=tenant_id, finished_at=None)
    asked = Q(selection__fingerprint=fingerprint) if fingerprint else Q(pk=None)
    return open_ones.filter(asked | Q(selection__type=type) if type else asked).first()


def listing(principal: Principal) -> QuerySet[BulkReplay]:
    """The bulk replays that the principal may see, newest first."""
    return bulk_operations.listing(principal, BulkReplay)


def get(principal: Principal, bulk_id: UUID) -> BulkReplay:
    """Raises NotFound."""
    return bulk_operations.get(principal, BulkReplay, bulk_id)


def skipped(row: BulkReplay) -> int:
    """How many were not replayed after all, or were cancelled since: they count as neither success nor failure."""
    counted = len(row.waiting) + len(row.replayed) + row.succeeded + row.failed
    return int(row.selection["total"]) - counted


def abort(principal: Principal, bulk_id: UUID, *, reason: str = "") -> BulkReplay:
    """Replay no more of them; what is under way goes on.

    Raises:
        IllegalMove: it has ended already.
    """
    principal.require("dead_letters:write")
    return bulk_operations.abort(principal, BulkReplay, bulk_id, needs="dead_letters:write", reason=reason)
