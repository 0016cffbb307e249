"""Which turns of a long conversation are summarized."""

from __future__ import annotations

from agentapp.policies import compaction


def test_the_last_turns_stay_as_far_as_they_are_short() -> None:
    assert compaction.covered([300, 300, 100, 100, 50], already=0, limit=1_000) == 2
    assert compaction.covered([300, 300, 900], already=0, limit=1_000) == 2, "the last one stays, however long"


def test_what_would_save_little_is_not_summarized() -> None:
    assert compaction.covered([], already=0, limit=1_000) == 0
    assert compaction.covered([5_000], already=0, limit=1_000) == 0
    assert compaction.covered([150, 5_000], already=0, limit=1_000) == 0
    assert compaction.covered([900, 900, 150, 5_000], already=2, limit=1_000) == 0
    assert compaction.covered([900, 900, 250, 5_000], already=2, limit=1_000) == 3


def test_a_summary_that_failed_is_not_tried_at_every_turn() -> None:
    assert not compaction.may_try(turns_since=0, has_failed=False)
    assert compaction.may_try(turns_since=1, has_failed=False)
    assert not compaction.may_try(turns_since=compaction.PAUSE_TURNS - 1, has_failed=True)
    assert compaction.may_try(turns_since=compaction.PAUSE_TURNS, has_failed=True)
