"""A label on one line is read as it was written, and what could be two labels is none."""

from __future__ import annotations

import pytest

from agentapp.policies import labels


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        ("case", "7", "case:7"), ("my case", "no. 7", "my case:no. 7"), ("a:b", "7", '"a:b":7'),
        ("a", "b:c", 'a:"b:c"'), ("case", " 7 ", 'case:" 7 "'), ("case", "\u00a07", 'case:"\u00a07"'),
        ("case", "", 'case:""'), ('say "a"', "back\\slash", '"say \\"a\\"":back\\slash'),
        ("straße", "7\n", 'straße:"7\\n"'),
    ],
)  # fmt: skip
def test_a_label_is_read_as_it_was_written(name: str, value: str, line: str) -> None:
    assert labels.written(name, value) == line
    assert labels.read(line) == (name, value)


@pytest.mark.parametrize(
    "line",
    [
        "case", "case:", ":7", "a:b:c", "case: 7", "case :7", "case:7 ", 'case:"7', 'case:"7"x', '"a":"b":"c"', 'a"b:7',
        'case:"\\x"', ":", "",
    ],
)  # fmt: skip
def test_what_could_be_two_labels_or_none_is_not_read(line: str) -> None:
    assert labels.read(line) is None
