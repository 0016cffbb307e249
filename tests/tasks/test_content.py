"""The hash that a decision binds. [G3]"""

from __future__ import annotations

import hashlib

from hypothesis import given, settings
from hypothesis import strategies as st

from agentapp.policies.content import canonical_sha256
from tasks.request_approval import reply_subject

texts = st.text(alphabet=st.characters(exclude_categories=["Cs"]))


def test_the_hash_is_that_of_the_canonical_text() -> None:
    content = {"to": "a@b.example", "body": "Grüße", "subject": "x"}
    canonical = '{"body":"Grüße","subject":"x","to":"a@b.example"}'

    assert canonical_sha256(content) == hashlib.sha256(canonical.encode()).hexdigest()


@settings(deadline=None)
@given(st.dictionaries(texts, texts))
def test_the_order_of_the_keys_does_not_matter(content: dict[str, str]) -> None:
    assert canonical_sha256(content) == canonical_sha256(dict(reversed(content.items())))


@settings(deadline=None)
@given(texts, texts)
def test_another_text_has_another_hash(one: str, other: str) -> None:
    assert (canonical_sha256({"body": one}) == canonical_sha256({"body": other})) == (one == other)


def test_a_reply_has_one_re_and_one_line() -> None:
    assert reply_subject("Password") == "Re: Password"
    assert reply_subject("RE: Password") == "RE: Password"
    assert reply_subject("Two\r\nBcc: x@y.example") == "Re: Two Bcc: x@y.example"
