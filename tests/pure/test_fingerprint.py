"""Which failures are one failure."""

from __future__ import annotations

import pytest

from agentapp.policies import fingerprint


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("no artifact 0197f9aa-7d44-7000-8000-00000000a001", "no artifact 11111111-aaaa-4bbb-8ccc-22222222dddd"),
        ("408 after 12.5 s, 3 of 5", "504 after 7 s, 12 of 5"),
        ('no field "colour" in "a b"', 'no field "size" in "c"'),
        ("unknown model 'small'", "unknown model 'large one'"),
        ("mail to ann@sample.test bounced", "mail to bob.b@other.sample.test bounced"),
        ("GET http://127.0.0.1:8001/a/b failed", "GET https://sample.test/c?d=e failed"),
        ("lock 0xdeadbeef at deadbeef1234", "lock 0x1 at 99aabb00ccdd"),
        ("request req_7fAk29 refused", "request req_99Zz81 refused"),
        ("too\nlong", "too   long"),
    ],
)  # fmt: skip
def test_what_differs_from_job_to_job_does_not_count(one: str, other: str) -> None:
    assert fingerprint.of("draft", "Error", one) == fingerprint.of("draft", "Error", other), fingerprint.skeleton(one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("draft", "Error", "full"), ("send", "Error", "full")),
        (("draft", "Error", "full"), ("draft", "Other", "full")),
        (("draft", "Error", "the queue is full"), ("draft", "Error", "the disk is full")),
        (("draft", "Error", "it can't be read"), ("draft", "Error", "it can't be sent")),
    ],
)
def test_another_job_type_class_or_sentence_is_another_failure(one: tuple[str, ...], other: tuple[str, ...]) -> None:
    assert fingerprint.of(*one) != fingerprint.of(*other)


def test_a_fingerprint_is_twelve_hexadecimal_digits_that_stay_the_same() -> None:
    assert fingerprint.of("draft", "ModelRefused", "refused: 400") == "941030b96218"


@pytest.mark.parametrize("message", ["", "'" * 5_000, "9" * 100_000, "\ud800", "a-1" * 3_000, "a@b" * 3_000])
def test_any_message_has_one(message: str) -> None:
    assert len(fingerprint.of("draft", "Error", message)) == 12
