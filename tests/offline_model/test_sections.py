"""The sections of a prompt are found in one walk, whatever stands between them."""

from __future__ import annotations

import pytest

from agentapp.offline_model import sections

LARGE = 400_000


def prompt(text: str) -> sections.Prompt:
    return sections.read([{"role": "user", "content": text}])


def test_sections_and_passages_are_found() -> None:
    found = prompt(
        "Hello <ticket kind='a'>Where <b>are</b> they?</ticket > <id> "
        "<passages><passage id=\"7\" title='T &amp; U'>One</passage><passage>Two</passage></passages><open>"
    )

    assert found.latest("ticket") == "Where \nare\n they?"
    assert [(passage.id, passage.title, passage.text) for passage in found.passages()] == [
        ("7", "T & U", "One"),
        ("2", "", "Two"),
    ]
    assert set(found.sections) == {"ticket", "passages"}


@pytest.mark.parametrize(
    "text",
    [
        "<a>" * (LARGE // 3),
        "<passages>" + "<passage>" * (LARGE // 9) + "</passages>",
        "<passages><passage " + "-" * LARGE + "></passage></passages>",
        "<a>" * (LARGE // 7) + "</a>" * (LARGE // 7),
        "<a " * (LARGE // 3),
        "</a" + " " * LARGE,
    ],
    ids=["open", "open passages", "a long attribute", "nested", "unended", "spaces"],
)
def test_a_text_that_is_made_to_be_slow_is_read_like_any_other(text: str) -> None:
    """Of the size of a task's input a few times: read over and over for each mark, this would not come to an end."""
    found = prompt(text)
    found.passages()
    assert len(found.text) <= 2 * len(text)
