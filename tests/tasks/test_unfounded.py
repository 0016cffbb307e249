"""A draft that rests on no source: what it scores, whatever its model says of it. [C4]"""

from __future__ import annotations

import json

import pytest

from agentapp.models import ApprovalPolicy
from agentapp.policies.permissions import OPERATOR_SCOPES
from agentapp.services import approval_policies
from agentapp.services.principals import Principal
from tasks.evaluate_answer import UNFOUNDED
from tests.harness import run_workflow
from tests.offline_model.process import OfflineModel
from tests.tasks.test_support_reply import UNANSWERABLE, completion, outputs, pending

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_draft_without_sources_scores_nothing_whatever_the_model_finds_and_is_seen_by_a_person(
    principal: Principal, support_model: OfflineModel
) -> None:
    operator = Principal(frozenset(OPERATOR_SCOPES), None)
    sampled = {"name": "samples", "kind": "support_reply", "sample_percent": 0}
    approval_policies.save(operator, ApprovalPolicy(), sampled)
    verdict = {"score": 1.0, "grounded": True, "complete": True, "critique": ""}
    found = {"status": 200, "body": completion(json.dumps(verdict)), "times": None}
    support_model.fail("status", match={"schema_name": "evaluation"}, **found)

    workflow = run_workflow(principal, "support_reply", UNANSWERABLE)

    assert pending(workflow).evaluation == {
        "score": 0.0, "grounded": False, "complete": True, "critique": UNFOUNDED, "verdict": "unfounded",
    }  # fmt: skip
    assert len(outputs(workflow, "generate_draft")) == 1, "no revision finds a source"
