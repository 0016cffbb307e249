"""What is said about a failure to the person who looks at its dead letter. [F3]"""

from __future__ import annotations

import pytest

from agentapp import errors
from agentapp.policies import hints
from agentapp.policies.classify import ErrorKind

# They end no attempt with an error.
_NEVER_STORED = {"LostLease", "Cancelled", "HandedBack", "AgentappError"}


@pytest.mark.parametrize("kind", ["", *(kind.value for kind in ErrorKind), "of a later release"])
def test_every_failure_has_a_cause_and_a_remedy_whatever_its_name(kind: str) -> None:
    for name in ("", "ValueError", "x" * 200, "\u202eevil", "NotSent", "__doc__", "annotations"):
        hint = hints.of(name, kind)
        assert hint.cause.endswith(".") and hint.remedy.endswith(".")


@pytest.mark.parametrize(
    ("name", "kind", "says"),
    [
        ("RateLimited", "transient", "gate of the model"),
        ("ConnectionError", "transient", "Wait until it answers"),
        ("OperationalError", "permanent", "Wait until it answers"),
        ("DatabaseBusy", "transient", "Wait until it answers"),
        ("NotDeliveredByPigeon", "transient", "Wait until it answers"),
        ("KeyError", "permanent", "Read the trace"),
        ("Refused", "permission", "Restore the permission"),
    ],
)  # fmt: skip
def test_the_hint_follows_the_class_and_else_the_kind(name: str, kind: str, says: str) -> None:
    assert says in hints.of(name, kind).remedy


def test_what_is_raised_for_good_has_words_of_its_own() -> None:
    ours = [found for found in vars(errors).values() if isinstance(found, type) and issubclass(found, Exception)]
    for found in ours:
        if issubclass(found, errors.PermanentError) and found.__name__ not in ("PermanentError", *_NEVER_STORED):
            assert hints.of(found.__name__) is not hints.of("KeyError"), found.__name__
