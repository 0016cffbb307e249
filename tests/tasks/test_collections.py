"""A question names the collection that may answer it."""

from __future__ import annotations

import pytest

from agentapp.models import Document, Job
from agentapp.services.principals import Principal
from tests.harness import run_workflow
from tests.offline_model.process import OfflineModel
from tests.tasks.test_support_reply import ONE_PART, pending

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_customer_is_answered_from_the_collection_that_is_asked_for_and_no_other(
    principal: Principal, support_model: OfflineModel
) -> None:
    Document.objects.update(collection="ours")

    unanswered = run_workflow(principal, "support_reply", ONE_PART)
    answered = run_workflow(principal, "support_reply", ONE_PART | {"collection": "ours"})

    assert pending(unanswered).sources == [] and pending(answered).sources != []
    payloads = Job.objects.filter(workflow=unanswered, type="retrieve_context").values_list("payload", flat=True)
    # A worker of the release before knows no such parameter.
    assert not any("collection" in (payload or {}) for payload in payloads)
