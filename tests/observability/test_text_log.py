"""What the log shows as plain text."""

from __future__ import annotations

import logging

from agentapp.observability.log_handler import EventFormatter

FORMATTER = EventFormatter("%(levelname)s %(name)s: %(message)s")


def line(message: str, **extra: object) -> str:
    return FORMATTER.format(logging.getLogger("a").makeRecord("a", logging.INFO, "", 0, message, (), None, extra=extra))


def test_an_event_shows_its_name_and_fields() -> None:
    assert line("It ended.", event="job.completed", job="7", type="agent_turn") == (
        "INFO a: It ended. [event=job.completed job=7 type=agent_turn]"
    )


def test_a_field_is_one_word_of_one_line_and_bounded() -> None:
    assert line("x", event="e", error="a b\nc", empty="", sign="a=b", long="y" * 600) == (
        f'INFO a: x [event=e error="a b\\nc" empty= sign="a=b" long={"y" * 500}…]'
    )


def test_lines_of_others_stay_as_they_are() -> None:
    assert line("x", request="<Request '/stream?token=secret'>", status_code=404) == "INFO a: x"
