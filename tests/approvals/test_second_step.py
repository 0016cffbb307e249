"""At high risk a person approves in two steps, whatever they use; a key names the bytes in its request. [G3]"""

from __future__ import annotations

import pytest

from agentapp.errors import IllegalMove, InvalidInput, PermissionDenied
from agentapp.models import ApprovalPolicy, Tenant
from agentapp.policies.content import canonical_sha256
from agentapp.services.principals import Principal
from tests.approvals.asking import ask, decide, person, policy

pytestmark = pytest.mark.django_db


def test_a_person_confirms_the_bytes_that_would_be_sent(principal: Principal, tenant: Tenant) -> None:
    approval, kim = ask(principal, risk="high"), person("kim", tenant)
    words = canonical_sha256(approval.content | {"body": "other words"})
    for confirmed in ("", "0" * 64, words):
        with pytest.raises(InvalidInput, match="second step"):
            decide(kim, approval, confirmed_sha256=confirmed)
    with pytest.raises(InvalidInput, match="second step"):
        content = approval.content | {"body": "other words"}
        decide(kim, approval, "edit", content=content, confirmed_sha256=approval.content_sha256)
    approval.refresh_from_db()
    assert approval.state == "pending"
    other = ask(principal, risk="high")

    decided = decide(kim, approval, "edit", content=approval.content | {"body": "other words"}, confirmed_sha256=words)
    assert (decided.state, decided.approved_sha256) == ("approved", words)
    assert decide(kim, other, confirmed_sha256=other.content_sha256).state == "approved"


def test_a_recipient_that_was_changed_is_confirmed_at_any_risk(principal: Principal, tenant: Tenant) -> None:
    """By who edits, and by who approves what another has edited."""
    policy(four_eyes=True, may_change_recipient=True)
    approval, kim, lee = ask(principal, risk="low"), person("kim", tenant), person("lee", tenant)
    content = approval.content | {"to": "second@sample.test"}
    sha256 = canonical_sha256(content)

    for confirmed in ("", approval.content_sha256):
        with pytest.raises(InvalidInput, match="recipient was changed: approving it takes a second step"):
            decide(kim, approval, "edit", content=content, confirmed_sha256=confirmed)
    assert decide(kim, approval, "edit", content=content, confirmed_sha256=sha256).votes_missing == 1
    with pytest.raises(InvalidInput, match="recipient was changed"):
        decide(lee, approval)
    assert decide(lee, approval, confirmed_sha256=sha256).state == "approved"


def test_the_second_step_is_offered_only_of_what_was_read_and_to_who_may_approve(
    principal: Principal, tenant: Tenant
) -> None:
    """Else confirming it would undo what somebody else has written since."""
    policy(four_eyes=True)
    approval, kim, lee = ask(principal, risk="high"), person("kim", tenant), person("lee", tenant)
    content = approval.content | {"body": "other words"}
    decide(lee, approval, "edit", content=content, confirmed_sha256=canonical_sha256(content))

    with pytest.raises(IllegalMove, match="changed since you saw it"):
        decide(kim, approval, content_sha256=approval.content_sha256)
    decide(kim, approval, "reject", reason="no")
    with pytest.raises(IllegalMove, match="already rejected"):
        decide(lee, approval)

    ApprovalPolicy.objects.update(approvers=["Finance"])
    with pytest.raises(PermissionDenied, match="Finance"):
        decide(lee, ask(principal, risk="high"))


def test_less_risk_and_what_sends_nothing_take_one_step(principal: Principal, tenant: Tenant) -> None:
    kim = person("kim", tenant)
    assert decide(kim, ask(principal, risk="medium")).state == "approved"
    assert decide(kim, ask(principal, risk="high"), "reject", reason="no").state == "rejected"
