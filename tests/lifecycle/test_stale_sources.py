"""When the sources of a draft are no longer as it cites them. [C10]"""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from agentapp import clock
from agentapp.lifecycle import refresh_draft
from agentapp.models import Chunk, Memory, Tenant
from agentapp.services.principals import Principal
from tests.lifecycle.sourced import asked, delete, fact, found, load_again, passage, refresh, refresher
from tests.lifecycle.sourced import sourced_kinds as sourced_kinds

pytestmark = pytest.mark.django_db
NOBODY = "01991b5e-8a52-7c3e-9d5f-3b1c2a4d5e6f"


WHAT_HAPPENS: dict[str, tuple[Any, bool]] = {
    "nothing": (lambda source: None, False),
    "the same text again": (lambda source: load_again(source, "A lamp costs 5 EUR."), False),
    "another text": (lambda source: load_again(source, "A lamp costs 9 EUR."), True),
    "deleted": (delete, True),
    "its passages are gone": (lambda source: Chunk.objects.filter(pk=source["id"]).delete(), True),
}


@pytest.mark.parametrize("name", WHAT_HAPPENS)
def test_only_other_content_makes_a_draft_stale(principal: Principal, tenant: Tenant, name: str) -> None:
    happens, is_stale = WHAT_HAPPENS[name]
    source = passage(tenant)
    approval = asked(principal, source)

    happens(source)

    assert [draft["id"] for draft in found(principal).stale] == ([str(approval.pk)] if is_stale else [])
    assert refresh(refresher(principal), approval) == ("ok" if is_stale else "current")


def test_facts_that_were_erased_or_superseded_make_a_draft_stale(principal: Principal, tenant: Tenant) -> None:
    def memory(one: Memory) -> dict[str, Any]:
        return {"n": 1, "title": "fact", "source": "memories", "id": str(one.pk)}

    held, gone = fact(tenant, "likes tea"), fact(tenant, "likes milk")
    over = fact(tenant, "lives in Rome", valid_until=clock.now())
    fact(tenant, "lives in Oslo", fact_id=over.fact_id)
    vouched = fact(tenant, "is called Kim", valid_until=clock.now())
    fact(tenant, "is called Kim", fact_id=vouched.fact_id)
    tasks = {one.text: asked(principal, memory(one)) for one in (held, gone, over, vouched)}
    gone.delete()

    stale = {UUID(draft["id"]) for draft in found(principal).stale}

    assert {text for text, approval in tasks.items() if approval.pk in stale} == {"likes milk", "lives in Rome"}


@pytest.mark.parametrize(
    "source",
    [
        {"source": "documents"}, {"source": "documents", "id": "x' OR true"}, {"source": "documents", "id": {"a": 1}},
        {"source": "approved_replies", "id": NOBODY}, {"source": ["documents"]}, {"id": NOBODY},
        {"source": "memories", "id": None},
    ],
    ids=str,
)  # fmt: skip
def test_what_no_row_of_ours_stands_for_is_left_alone(principal: Principal, source: dict[str, Any]) -> None:
    asked(principal, {"title": "Prices"} | source)

    assert found(principal) == refresh_draft.Found(1, [], None)


def test_so_many_sources_are_looked_at_and_no_more(principal: Principal, tenant: Tenant) -> None:
    """What a client may say of sources is neither looked for without end nor written into the reason at length."""
    gone = {"source": "documents", "id": NOBODY, "document": NOBODY, "title": "t", "n": "n" * 50}
    behind = {"source": "other", "title": "x"}
    approval = asked(principal, *[gone] * 250)
    asked(principal, *[behind] * 100, gone)

    assert [draft["id"] for draft in found(principal).stale] == [str(approval.pk)]
    assert refresh(refresher(principal), approval) == "ok"
    approval.refresh_from_db()
    assert approval.reason.count(" was deleted") == 100 and "n" * 11 not in approval.reason


def test_rows_of_another_tenant_are_no_source(
    principal: Principal, other_principal: Principal, other_tenant: Tenant
) -> None:
    """Else it could be learned whether a passage is there."""
    theirs = passage(other_tenant)
    approval = asked(principal, theirs)
    assert found(other_principal).looked == 0

    assert refresh(refresher(other_principal), approval) == "gone"
    assert refresh(refresher(principal), approval) == "ok"
