"""What a model thought is told from what it answered, in whatever pieces it comes."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentapp.errors import InvalidModelOutput
from agentapp.llm import reasoning, structured
from agentapp.llm.reasoning import Splitter

ANSWERS = {
    "plain [1] <b>": ("plain [1] <b>", ""),
    "<think>hm</think>\n\nyes": ("yes", "hm"),
    "<thinking>a</thinking>yes<thinking>b</thinking>!": ("yes!", "ab"),
    "[THINK]hm[/THINK]yes": ("yes", "hm"),
    "◁think▷hm◁/think▷yes": ("yes", "hm"),
    "<think>a<think>b</think>c</think>yes": ("yes", "abc"),
    "<think>a <think> b</think>yes": ("yes", "a  b"),
    "hm</think>yes": ("yes", "hm"),
    "</think>yes": ("yes", ""),
    "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>yes<|return|>": ("yes", "hm"),
    "Write `</think>` and `<think>`.": ("Write `</think>` and `<think>`.", ""),
    "a < b <thin": ("a < b <thin", ""),
}


def read(pieces: list[str], *, holds: bool) -> tuple[Splitter, str]:
    splitter = Splitter(holds=holds)
    handed = "".join([*(splitter.feed(piece) for piece in pieces), splitter.finish()])
    return splitter, handed


@given(text=st.sampled_from(sorted(ANSWERS)), cuts=st.sets(st.integers(1, 100), max_size=12), holds=st.booleans())
def test_the_pieces_in_which_an_answer_comes_change_nothing(text: str, cuts: set[int], holds: bool) -> None:
    at = [0, *sorted(cut for cut in cuts if cut < len(text)), len(text)]

    splitter, handed = read([text[start:end] for start, end in itertools.pairwise(at)], holds=holds)

    assert (splitter.text, splitter.reasoning) == ANSWERS[text]
    if holds or not splitter.was_unopened:
        assert handed == splitter.text


@given(text=st.text(alphabet="<>/[]think`| ab◁▷", max_size=60), size=st.integers(1, 7))
def test_any_text_is_told_apart_alike_whole_and_in_pieces(text: str, size: int) -> None:
    whole, _ = read([text], holds=True)
    pieces, handed = read([text[at : at + size] for at in range(0, len(text), size)], holds=True)

    assert (whole.text, whole.reasoning, whole.is_unclosed) == (pieces.text, pieces.reasoning, pieces.is_unclosed)
    assert handed == pieces.text


class Counting:
    """The pattern of marks, and how many characters were handed to it."""

    def __init__(self, pattern: re.Pattern[str]) -> None:
        self.pattern = pattern
        self.read = 0

    def search(self, text: str) -> re.Match[str] | None:
        self.read += len(text)
        return self.pattern.search(text)

    def finditer(self, text: str) -> Iterator[re.Match[str]]:
        self.read += len(text)
        return self.pattern.finditer(text)


@pytest.mark.parametrize("mark", ["<think>", "`<think>", "</think>", "x</think>", "<|end|>", "<think></think>"])
def test_a_text_of_nothing_but_marks_is_read_once(monkeypatch: pytest.MonkeyPatch, mark: str) -> None:
    text = mark * 2_000
    for size in (len(text), 1):
        counting = Counting(reasoning._TOKEN)
        monkeypatch.setattr(reasoning, "_TOKEN", counting)
        read([text[at : at + size] for at in range(0, len(text), size)], holds=True)
        monkeypatch.undo()
        assert counting.read <= len(text) * (1 if size > 1 else reasoning._LONGEST_TOKEN)


def test_what_is_never_closed_is_said_to_be() -> None:
    splitter, handed = read(["yes <think>no"], holds=False)

    assert splitter.is_unclosed and handed == splitter.text == "yes "


SCHEMA = {"type": "object", "required": ["count"], "properties": {"count": {"type": "integer", "minimum": 1}}}


@pytest.mark.parametrize(
    "text",
    [
        '{"count": 4}',
        '\ufeff {"count": 4}'.strip("\ufeff"),
        '```json\n{"count": 4}\n```',
        'Here you are:\n```\n{"count": 4}\n```\nAnything else?',
        'The answer is {"count": 4}. Use {braces} with care.',
        'Use {braces} with care: {"count": 4}',
        'First I thought {"count": 0}, but it is {"count": 4}.',
        '[{"count": 4}]',
        '"{\\"count\\": 4}"',
    ],
)
def test_the_object_is_found_wherever_it_stands(text: str) -> None:
    assert structured.parse(text, SCHEMA) == {"count": 4}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("four", "not JSON"),
        ("", "not JSON"),
        ('{"count": 4', "not JSON"),
        ('{"outer": {"count": 4}, "rest": ', "not JSON"),
        ('```json\n{"count": 0}\n```', "at count: 0 is less than the minimum"),
        ('[{"count": 4}, {"count": 5}]', "not a JSON object"),
        ('{"count": 4, "share": NaN}', "cannot be kept at share"),
        ('{"count": 4, "share": 1e999}', "cannot be kept at share"),
        ('{"count": 4, "name": "\\u0000"}', "cannot be kept at name"),
        ('{"count": 4, "name": "\\ud800"}', "cannot be kept at name"),
        ("[" * 100_000, "not JSON"),
        ('{"a":' * 100_000, "not JSON"),
        ('{"count": ' + "9" * 5_000 + "}", "not JSON"),
    ],
)
def test_what_is_not_the_promised_object_says_why(text: str, words: str) -> None:
    with pytest.raises(InvalidModelOutput, match=words):
        structured.parse(text, SCHEMA)


def test_a_schema_that_needs_more_than_strict_mode_knows_is_not_asked_for_strictly() -> None:
    shut = {"type": "object", "additionalProperties": False}
    for schema in (
        shut | {"required": ["a"], "properties": {"a": {"oneOf": [{"type": "string"}]}}},
        shut | {"required": [], "properties": {"a": {"type": "string"}}},
        shut | {"required": ["a"], "properties": {"a": {}}},
        shut | {"required": ["a"], "properties": {"a": {"type": "array", "items": {"type": "object"}}}},
        {"type": "object", "required": [], "properties": {}},
        {"anyOf": [shut | {"required": [], "properties": {}}]},
    ):
        assert structured.strict(schema) is None
    # Names of fields are no rules.
    named = shut | {"required": ["minimum"], "properties": {"minimum": {"type": "integer", "minimum": 3}}}
    assert (structured.strict(named) or {})["properties"] == {
        "minimum": {"type": "integer", "description": "(minimum: 3)"}
    }
