"""Turn what a schema finds wrong into sentences that say what to do."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, get_args

import pydantic
from pydantic_core import core_schema

# {"field": dotted path, "message": sentence} for each thing that is wrong.
FieldErrors = list[dict[str, str]]

_STRING, _OBJECT, _LIST, _NUMBER = (f"This must be {what}." for what in ("a string", "an object", "a list", "a number"))
_WHOLE = "This must be a whole number."
_DATE = "This must be a date, as in 2025-01-31."
_TIME = "This must be a time of day, as in 08:00:00."
_MOMENT = "This must be a time with its zone, as in 2025-01-31T08:00:00Z."
_DURATION = "This must be a duration, as in PT30M or a number of seconds."
_UUID = "This must be a UUID, as in 0190f5fe-7c00-7a00-8000-000000000000."
_URL = "This must be a web address, as in https://example.org/path."
_UNREADABLE = "Half of a surrogate pair (\\ud800 to \\udfff) is not a character. Take it out."
_CHOOSE = "Choose one of {expected}."
# By pydantic's type of an error. Its own words name Python, and are not addressed to who sent the value.
_MESSAGES = {
    "missing": "This field is required.",
    "extra_forbidden": "There is no such field. Leave it out, or correct its name.",
    "invalid_key": "The names in this object must be strings.",
    "none_required": "This must be null.",
    "bool_type": "This must be true or false.", "bool_parsing": "This must be true or false.",
    "string_type": _STRING, "bytes_type": _STRING, "json_type": _STRING, "url_type": _URL,
    "string_unicode": _UNREADABLE,
    "string_too_short": "This needs {min_length} or more characters.",
    "string_too_long": "This may have at most {max_length} characters.",
    "string_pattern_mismatch": "This must match {pattern}.",
    "string_not_ascii": "This may hold ASCII characters only.",
    "bytes_too_short": "This needs {min_length} or more bytes.",
    "bytes_too_long": "This may have at most {max_length} bytes.",
    "int_type": _WHOLE, "int_parsing": _WHOLE, "int_from_float": _WHOLE,
    "int_parsing_size": "This number has too many digits.",
    "float_type": _NUMBER, "float_parsing": _NUMBER, "decimal_type": _NUMBER, "decimal_parsing": _NUMBER,
    "finite_number": "This must be a finite number.",
    "decimal_max_digits": "This may have at most {max_digits} digits.",
    "decimal_max_places": "This may have at most {decimal_places} digits after the point.",
    "decimal_whole_digits": "This may have at most {whole_digits} digits before the point.",
    "greater_than": "This must be more than {gt}.", "greater_than_equal": "This must be {ge} or more.",
    "less_than": "This must be less than {lt}.", "less_than_equal": "This must be {le} or less.",
    "multiple_of": "This must be a multiple of {multiple_of}.",
    "dict_type": _OBJECT, "mapping_type": _OBJECT, "model_type": _OBJECT, "model_attributes_type": _OBJECT,
    "dataclass_type": _OBJECT, "dataclass_exact_type": _OBJECT, "frozen_dict_type": _OBJECT,
    "list_type": _LIST, "tuple_type": _LIST, "set_type": _LIST, "frozen_set_type": _LIST, "iterable_type": _LIST,
    "too_short": "There must be {min_length} or more of them.",
    "too_long": "There may be at most {max_length} of them.",
    "literal_error": _CHOOSE, "enum": _CHOOSE,
    "union_tag_invalid": "{discriminator} must be one of {expected_tags}.",
    "union_tag_not_found": "This needs the field {discriminator}.",
    "date_type": _DATE, "date_parsing": _DATE, "date_from_datetime_parsing": _DATE,
    "date_from_datetime_inexact": _DATE, "date_past": "This must be a date in the past.",
    "date_future": "This must be a date in the future.",
    "time_type": _TIME, "time_parsing": _TIME,
    "datetime_type": _MOMENT, "datetime_parsing": _MOMENT, "datetime_from_date_parsing": _MOMENT,
    "datetime_object_invalid": _MOMENT, "timezone_aware": _MOMENT, "timezone_offset": _MOMENT,
    "timezone_naive": "This must be a time without a zone, as in 2025-01-31T08:00:00.",
    "datetime_past": "This must be a time in the past.", "datetime_future": "This must be a time in the future.",
    "time_delta_type": _DURATION, "time_delta_parsing": _DURATION,
    "url_parsing": _URL, "url_syntax_violation": _URL,
    "url_too_long": "This may have at most {max_length} characters.",
    "url_scheme": "This address must begin with one of {expected_schemes}.",
    "uuid_type": _UUID, "uuid_parsing": _UUID, "uuid_version": "This must be a UUID of version {expected_version}.",
    "json_invalid": "This string must hold JSON.",
    "value_error": "{error}", "assertion_error": "{error}",
}  # fmt: skip
_OTHER = "This value cannot be used here."
_PYDANTICS = frozenset(get_args(core_schema.ErrorType))
SHOWN = 5
# Stands behind the name in an object where the name itself is wrong.
_KEY = "[key]"


def field_errors(error: pydantic.ValidationError) -> FieldErrors:
    """Return an entry for each thing that is wrong."""
    return [
        {"field": ".".join(str(part) for part in item["loc"] if part != _KEY) or "body", "message": _sentence(item)}
        for item in error.errors(include_url=False, include_input=False)
    ]


def entries(problems: Iterable[tuple[str, str]]) -> FieldErrors:
    """Return an entry for each problem: the dotted path of a field, and a sentence."""
    return [{"field": field, "message": message} for field, message in problems]


def detail(found: FieldErrors) -> str:
    """Join the first few into one line; the rest stands in the list."""
    shown = " ".join(f"{item['field']}: {item['message']}" for item in found[:SHOWN])
    more = len(found) - SHOWN
    return f"{shown} ({more} more in `errors`.)" if more > 0 else shown


def _sentence(item: Any) -> str:
    template = _MESSAGES.get(item["type"])
    if template is None:
        # Of a type that a schema's author has made up, the author's words.
        return _OTHER if item["type"] in _PYDANTICS else f"{str(item['msg']).rstrip('.')}."
    return template.format(**item.get("ctx", {})) or _OTHER
