"""What a provider's headers and schemas mean: pure decisions. [F2]"""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from agentapp.errors import InvalidModelOutput, ModelRefused, TransientError
from agentapp.llm import failures, rate_headers, structured

NOW = datetime(2030, 1, 1, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after": "Tue, 01 Jan 2030 12:01:30 GMT"}, 90.0),
        ({"retry-after": "Tue, 01 Jan 2030 11:00:00 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-4"}, None),
        ({"retry-after": "nan"}, None),
    ],
)
def test_retry_after_is_read_as_seconds_milliseconds_or_a_date(headers: dict[str, str], seconds: float | None) -> None:
    assert rate_headers.retry_after_s(headers, now=NOW) == seconds


def test_a_provider_may_ask_for_another_try() -> None:
    asked = failures.Refused(400, body="busy", headers={"x-should-retry": "true"}).error(now=NOW)

    assert isinstance(asked, TransientError)
    assert isinstance(failures.Refused(400, body="no").error(now=NOW), ModelRefused)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not JSON"),
        ("[1]", "not a JSON object"),
        ('{"count": "many"}', "at count: 'many' is not of type 'integer'"),
        ("{}", "'count' is a required property"),
    ],
)
def test_a_structured_answer_that_breaks_its_promise_names_the_field(text: str, words: str) -> None:
    schema = {"type": "object", "properties": {"count": {"type": "integer"}}, "required": ["count"]}

    with pytest.raises(InvalidModelOutput, match=words):
        structured.parse(text, schema)
