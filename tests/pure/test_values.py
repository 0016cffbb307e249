"""Hashes, ids, the clock, text inside prompts, and the catalogue of log events."""

from __future__ import annotations

import html
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentapp import clock
from agentapp.ids import uuid7
from agentapp.observability import events
from agentapp.policies.content import canonical_sha256
from agentapp.policies.markup import inert, inert_attribute
from tests.pure import quick

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=50)
contents = st.dictionaries(st.sampled_from(["to", "subject", "body"]), texts)


def test_the_hash_of_a_content_is_pinned() -> None:
    """Approvals in the database hold this hash: another way to compute it would re-open every one of them."""
    content = {"to": "reader@sample.test", "subject": "Grüße", "body": "One\nTwo"}

    assert canonical_sha256(content) == "09214fca7ee0ada5b865cc479a0524ef55350ae540d86ef0a1b583ced23e57bb"


@quick
@given(contents)
def test_the_order_of_fields_does_not_matter(content: dict[str, Any]) -> None:
    assert canonical_sha256(dict(reversed(content.items()))) == canonical_sha256(content)


@quick
@given(contents, contents)
def test_two_contents_have_one_hash_only_if_they_are_equal(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert (canonical_sha256(one) == canonical_sha256(other)) == (one == other)


def test_an_id_is_a_version_7_uuid_of_now() -> None:
    before_ms = time.time_ns() // 1_000_000
    value = uuid7()
    after_ms = time.time_ns() // 1_000_000

    assert value.version == 7
    assert value.variant == "specified in RFC 4122"
    assert before_ms <= value.int >> 80 <= after_ms


def test_ids_sort_by_the_millisecond_of_their_birth() -> None:
    ids = [uuid7() for _ in range(2_000)]

    milliseconds = [value.int >> 80 for value in ids]

    assert milliseconds == sorted(milliseconds)
    assert len(set(ids)) == len(ids)


def test_the_clock_is_aware_and_in_utc() -> None:
    assert clock.now().tzinfo is UTC
    assert clock.fixed() is None


def test_a_stopped_clock_moves_only_by_hand_and_runs_again_afterwards() -> None:
    moment = datetime(2030, 1, 1, tzinfo=UTC)
    with clock.frozen_at(moment) as stopped:
        assert clock.now() == clock.fixed() == moment
        stopped.advance(90)
        assert stopped.now() == moment + timedelta(seconds=90)
        stopped.set(moment)
        assert clock.now() == moment
    assert clock.fixed() is None


@quick
@given(texts | st.text("&<>#;xamplt1 "))
def test_text_in_a_prompt_opens_and_closes_no_tag_and_can_be_read_back(text: str) -> None:
    assert "<" not in inert(text)
    assert html.unescape(inert(text)) == text


def test_what_is_no_markup_is_quoted_as_it_stands() -> None:
    assert inert("a > b & 'c' \"d\"") == "a > b & 'c' \"d\""
    assert inert("</ticket> AT&T &lt;") == "&lt;/ticket> AT&amp;T &amp;lt;"


@quick
@given(texts)
def test_an_attribute_is_one_line_without_quotes(text: str) -> None:
    value = inert_attribute(text)

    assert not {'"', "<", "\n", "\r"} & set(value)
    assert html.unescape(value) == " ".join(text.split())


def test_an_event_that_is_not_in_the_catalogue_cannot_be_logged() -> None:
    with pytest.raises(KeyError, match=r"job\.vanished"):
        events.emit("job.vanished")


def test_an_event_carries_its_fields(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", logger="agentapp"):
        events.emit("job.completed", job="a1", attempt=2)

    (record,) = caplog.records
    assert (record.event, record.job, record.attempt) == ("job.completed", "a1", "2")  # type: ignore[attr-defined]
