"""The short form of bench/recovery.py: all workers are killed at once, and nothing is lost."""

from __future__ import annotations

import pytest

from bench import recovery
from bench.bodies import Record
from bench.recovery import Recovered, Side
from tests.acceptance.deployment import Deployment

pytestmark = pytest.mark.acceptance

WORKFLOWS = 30
WORKERS = ("worker_model", "worker_send", "worker_documents")
PAUSE_S = 0.5
LIMIT_S = 180.0


def test_all_workers_are_killed_in_the_middle_and_nothing_is_lost(deployment: Deployment) -> None:
    side = Side(
        "agentapp", lambda pause_s: deployment.submit("bench_recover", pause_s=pause_s),
        lambda: [deployment.pid(name) for name in WORKERS],
    )  # fmt: skip

    found = recovery.one_round(side, Record(deployment.broker), workflows=WORKFLOWS, pause_s=PAUSE_S, limit_s=LIMIT_S)

    assert found.lost == 0, found
    assert found.sent_twice == 0, found
    assert found.cut_off, "the kill came too late to show anything"
    assert found.run_again >= found.cut_off, "what was cut off has to run again"


def test_a_record_tells_what_was_cut_off_what_ran_again_and_what_was_lost(deployment: Deployment) -> None:
    """The measuring itself: of three workflows one is sent, one is sent twice after a cut, one is lost."""
    record = Record(deployment.broker)
    record.forget()
    for line in (
        '["a", "send", "began", 1.0]', '["a", "send", "ended", 1.5]',
        '["b", "send", "began", 1.2]', '["b", "send", "began", 4.0]', '["b", "send", "ended", 4.5]',
        '["c", "draft", "began", 1.3]',
    ):  # fmt: skip
        deployment.broker.rpush("bench:runs", line)
    deployment.broker.rpush("bench:sent", "a", "b", "b")

    found = recovery.recovered(record, {"a", "b", "c"}, killed_at=2.0, in_flight=2)

    assert found == Recovered(
        in_flight=2, cut_off=2, first_s=2.0, continued_s=2.0, done_s=None, run_again=1, lost=1, sent_twice=1
    )
    record.forget()
