"""What is said of wrong values: our words, to who sent them, and never the schema library's."""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal, get_args
from uuid import UUID

import pydantic
import pytest
from pydantic_core import PydanticCustomError, core_schema

from agentapp.policies import sentences

CONTEXT: dict[str, Any] = dict.fromkeys(
    ["gt", "ge", "lt", "le", "multiple_of", "max_length", "min_length", "actual_length", "max_digits",
     "decimal_places", "whole_digits", "expected_version", "tz_expected", "tz_actual"], 3,
) | dict.fromkeys(
    ["expected", "pattern", "class_name", "class", "field_type", "method_name", "attribute", "encoding",
     "encoding_error", "discriminator", "tag", "expected_tags", "expected_schemes", "error"], "words",
)  # fmt: skip
LIBRARY = re.compile(r"Input|Pydantic|Python|dictionary|valid integer|Field required|should|unable to|instance of|None")


@pytest.mark.parametrize("kind", get_args(core_schema.ErrorType))
def test_no_sentence_is_the_librarys(kind: str) -> None:
    said = sentences._sentence({"type": kind, "msg": "Input should be something of Python's", "ctx": CONTEXT})
    assert not LIBRARY.search(said), said
    assert "{" not in said
    assert said.endswith(".") or said == "words"


class Colour(Enum):
    RED = "red"


class Everything(pydantic.BaseModel):
    whole: int
    number: float
    amount: Decimal
    text: str
    yes: bool
    moment: datetime
    day: date
    hour: time
    span: timedelta
    identifier: UUID
    several: list[int]
    pair: tuple[int, int]
    named: dict[str, int]
    colour: Colour
    word: Literal["a", "b"]
    either: int | list[int]
    address: pydantic.AnyHttpUrl
    small: Annotated[int, pydantic.Field(gt=3, multiple_of=2)]
    few: Annotated[list[int], pydantic.Field(min_length=2)]


@pytest.mark.parametrize("value", ["x", "", None, True, 1, 1.5, float("nan"), float("inf"), [], ["x"], {}, {"a": "x"}])
def test_wrong_values_of_every_type_are_spoken_of_in_our_words(value: Any) -> None:
    with pytest.raises(pydantic.ValidationError) as caught:
        Everything.model_validate(dict.fromkeys(Everything.model_fields, value))
    for item in sentences.field_errors(caught.value):
        assert not LIBRARY.search(item["message"]), item


def test_what_the_author_of_a_schema_says_is_said() -> None:
    def refuse(value: Any) -> Any:
        raise PydanticCustomError("too_red", "This is too red for {who}", {"who": "us"})

    with pytest.raises(pydantic.ValidationError) as caught:
        pydantic.TypeAdapter(Annotated[str, pydantic.AfterValidator(refuse)]).validate_python("a")
    assert sentences.field_errors(caught.value)[0]["message"] == "This is too red for us."
