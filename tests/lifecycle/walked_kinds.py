"""Workflow kinds for random walks. Registered on import."""

from __future__ import annotations

from typing import Any

from agentapp import registry
from agentapp.flows import Decision, FanOut, Flow, Repeat, Step, When
from agentapp.policies.content import canonical_sha256
from tests import kinds

CONTENT = {"to": "reader@sample.test", "subject": "probe", "body": "hello"}
OUTPUTS: dict[str, dict[str, Any]] = {
    "probe_first": {"text": "HELLO", "priority": 1, "risk": "high"},
    "probe_part": {"n": 1, "double": 2},
    "probe_sum": {"sum": 2},
    "probe_judge": {"seen": 1},
    "probe_ask": {"content": CONTENT, "content_sha256": canonical_sha256(CONTENT)},
    "probe_tell": {"outcome": "sent"},
}
# What a job asks in the middle of its body.
ASKED_WITHIN_S = 600
QUESTION: dict[str, Any] = {
    "key": "probe", "content": CONTENT, "content_sha256": canonical_sha256(CONTENT), "summary": "", "risk": None,
    "sources": [], "evaluation": None, "expires_in_s": ASKED_WITHIN_S,
}  # fmt: skip

HURRIED = registry.add_flow(
    Flow(
        kind="probe_hurried",
        version=1,
        input=kinds.Anything,
        stages=(
            Step("probe_ask", bind={"text": "input.text"}),
            Decision(back_to="probe_ask", bind={"content": "probe_ask.content", "expires_in_s": 3600,
                                                "content_sha256": "probe_ask.content_sha256"}),
            Step("probe_tell", bind={"approval_id": "approval.approval_id"}),
        ),
        result={"outcome": "probe_tell.outcome"},
    )
)  # fmt: skip
REVISED = When("probe_judge.verdict", equals="revise")
# Every kind of stage may be skipped here, and each round asks a person.
TURNS = registry.add_flow(
    Flow(
        kind="probe_turns",
        version=1,
        input=kinds.Anything,
        stages=(
            Step("probe_ask", bind={"text": "input.text"}),
            Step("probe_judge"),
            Decision(bind={"content": "probe_ask.content", "content_sha256": "probe_ask.content_sha256"},
                     when=REVISED, on_reject="continue"),
            FanOut("probe_part", over="input.parts", each="n", when=When("approval.decision", equals="approved")),
            Step("probe_first", bind={"text": "input.text"}, when=REVISED,
                 repeat=Repeat("probe_judge", when=REVISED, at_most=2)),
        ),
        result={"text": "probe_first.text"},
    )
)  # fmt: skip
