import pytest

from agentapp.policies.counting import count


@pytest.mark.parametrize(
    ("number", "noun", "words"),
    [
        (0, "attempt", "0 attempts"), (1, "attempt", "1 attempt"), (2, "attempt", "2 attempts"),
        (1_000, "reply", "1,000 replies"), (1, "reply", "1 reply"), (2, "day", "2 days"), (3, "batch", "3 batches"),
    ],
)  # fmt: skip
def test_a_number_and_its_noun_agree(number: int, noun: str, words: str) -> None:
    assert count(number, noun) == words
