"""A form made of a JSON Schema, and back."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pydantic
import pytest

from agentapp.console import schema_form


class Address(pydantic.BaseModel):
    street: str


class Asked(pydantic.BaseModel):
    """One field of each kind."""

    amount: float = 2.5
    subject: Annotated[str, pydantic.Field(max_length=100)]
    body: str
    customer_email: str
    parts: int
    urgent: bool | None = None
    tone: Literal["kind", "short"] = "kind"
    tags: list[str] = []
    address: Address | None = None


def form(**values: str) -> tuple[list[schema_form.Field], dict[str, Any]]:
    shown = schema_form.fields(Asked.model_json_schema())
    posted = {f"input.{name}": value for name, value in values.items()}
    return shown, schema_form.read(shown, posted)


ENTERED = {"subject": "Hi", "body": "a\r\nb", "customer_email": "a@b.test", "parts": "3"}


def test_each_type_has_its_kind_of_field_and_the_required_come_first() -> None:
    shown = schema_form.fields(Asked.model_json_schema())

    assert {field.name: field.kind for field in shown} == {
        "subject": "line", "body": "text", "customer_email": "line", "parts": "integer", "amount": "number",
        "urgent": "boolean", "tone": "choice", "tags": "json", "address": "json",
    }  # fmt: skip
    assert [field.required for field in shown] == [True] * 4 + [False] * 5
    assert next(field for field in shown if field.name == "customer_email").label == "Customer email"


def test_what_was_entered_is_read_by_its_type() -> None:
    shown, entered = form(**ENTERED, amount="1", urgent="true", tone="short", tags='["x"]', address='{"street": "s"}')

    assert not [field for field in shown if field.error]
    assert entered == {
        "subject": "Hi", "body": "a\nb", "customer_email": "a@b.test", "parts": 3, "amount": 1, "urgent": True,
        "tone": "short", "tags": ["x"], "address": {"street": "s"},
    }  # fmt: skip
    assert Asked.model_validate(entered).parts == 3


def test_what_is_left_empty_takes_its_default() -> None:
    _, entered = form(**ENTERED)

    assert entered.keys() == ENTERED.keys()


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("parts", "3.5", "whole number"),
        ("parts", "true", "whole number"),
        ("parts", "three", "whole number"),
        ("amount", '"2"', "a number"),
        ("tags", "[x", "not JSON"),
    ],
)
def test_what_cannot_be_read_is_named_at_its_field(name: str, value: str, words: str) -> None:
    shown, entered = form(**ENTERED | {name: value})

    wrong = [field for field in shown if field.error]
    assert [field.name for field in wrong] == [name] and words in wrong[0].error
    assert wrong[0].value == value and name not in entered


def test_the_values_of_an_earlier_input_come_back() -> None:
    shown = schema_form.fields(Asked.model_json_schema())
    schema_form.fill(shown, {"subject": "Hi", "parts": 3, "tags": ["x"], "urgent": False, "address": None})

    values = {field.name: field.value for field in shown}
    assert (values["subject"], values["parts"], values["urgent"], values["address"]) == ("Hi", "3", "false", "")
    assert values["tags"].split() == ["[", '"x"', "]"]


def test_problems_stand_at_their_fields_and_the_rest_apart() -> None:
    shown, _ = form(**ENTERED)

    rest = schema_form.mark(
        shown, [{"field": "input.tags.0", "message": "Too long."}, {"field": "kind", "message": "Unknown."}]
    )

    assert [field.name for field in shown if field.error] == ["tags"] and rest == ["Unknown."]
