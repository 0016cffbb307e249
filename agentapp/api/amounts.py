"""Amounts in the bodies of requests: a text or a number, which is kept as a text."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Annotated, Any

import pydantic
from pydantic import Field


def _as_text(value: Any) -> Any:
    """A number as it was sent, without an exponent."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return f"{Decimal(str(value)):f}" if is_number else value


Amount = Annotated[
    str,
    pydantic.BeforeValidator(_as_text),
    Field(max_length=30),
    pydantic.WithJsonSchema({"anyOf": [{"type": "string", "maxLength": 30}, {"type": "number"}]}),
]
