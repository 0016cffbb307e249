"""Classify, draft, judge: what a support workflow asks of its model. [C4] [C7]"""

from __future__ import annotations

from html import escape
from typing import Any

import pytest

from tests.offline_model.process import OfflineModel

PASSAGES = {
    "Dead letters": (
        "A job that failed for good becomes a dead letter and waits for a person.\n"
        "To replay a dead letter, open it in the admin and press Replay. The job runs again in its own workflow, "
        "with a fresh attempt budget."
    ),
    "Approvals": (
        "# Approvals\n\n- Nothing leaves the platform before a person has approved it.\n"
        "- An approval stays open for seven days. After that it is escalated, and then the task fails."
    ),
    "Webhooks": "Each delivery is signed with the secret of its endpoint. An endpoint that answers 410 is disabled.",
    "Paths": "Ask `GET /tasks/<id>` for the state of a task & its progress.",
}
ONE_PART = "How do I replay a dead letter?"
TWO_PARTS = "How do I replay a dead letter, and how long does an approval stay open?"
UNANSWERABLE = "Do you offer a discount for schools and universities?"

JUDGEMENT = {
    "type": "object",
    "additionalProperties": False,
    "required": ["score", "grounded", "complete", "critique", "verdict"],
    "properties": {
        "score": {"type": "number", "minimum": 0, "maximum": 1},
        "grounded": {"type": "boolean"},
        "complete": {"type": "boolean"},
        "critique": {"type": "string"},
        "verdict": {"enum": ["accept", "revise"]},
    },
}
TICKET = {
    "type": "object",
    "additionalProperties": False,
    "required": ["category", "urgency", "risk", "sources", "language", "reason"],
    "properties": {
        "category": {"enum": ["billing", "account", "technical", "how_to", "other"]},
        "urgency": {"enum": ["low", "normal", "high", "urgent"]},
        "risk": {"enum": ["low", "medium", "high"], "description": "harm that a wrong answer can do"},
        "sources": {"type": "array", "minItems": 1, "items": {"enum": ["documents", "approved_replies"]}},
        "language": {"type": "string"},
        "reason": {"type": "string"},
    },
}


def asked(question: str, **sections: str) -> str:
    """Write the sections of a prompt; keyword arguments become further sections."""
    passages = "".join(
        f'<passage id="{number}" title="{title}">{escape(text)}</passage>'
        for number, (title, text) in enumerate(PASSAGES.items(), 1)
    )
    more = "".join(f"<{tag}>{escape(text)}</{tag}>" for tag, text in sections.items())
    return f"<question>{escape(question)}</question><passages>{passages}</passages>{more}"


def judged(model: OfflineModel, question: str, draft: str) -> dict[str, Any]:
    judgement: dict[str, Any] = model.fill(JUDGEMENT, asked(question, draft=draft), name="evaluation")
    return judgement


def test_a_draft_quotes_the_best_passage_with_a_citation_and_says_who_wrote_it(model: OfflineModel) -> None:
    draft = model.say(asked(ONE_PART))

    assert "“To replay a dead letter, open it in the admin and press Replay.” [1]" in draft
    assert "offline model" in draft.splitlines()[-1]


def test_a_question_with_one_part_passes_at_once(model: OfflineModel) -> None:
    judgement = judged(model, ONE_PART, model.say(asked(ONE_PART)))

    assert judgement["score"] >= 0.7
    assert judgement["grounded"] and judgement["complete"] and judgement["verdict"] == "accept"


def test_the_critique_of_half_an_answer_leads_to_a_whole_one(model: OfflineModel) -> None:
    first = model.say(asked(TWO_PARTS))
    verdict = judged(model, TWO_PARTS, first)
    assert verdict["score"] < 0.7 and not verdict["complete"] and verdict["verdict"] == "revise"
    assert verdict["critique"].count("The draft does not answer “") == 1

    second = model.say(asked(TWO_PARTS, previous_draft=first, critique=verdict["critique"]))

    assert "[1]" in second and "seven days.” [2]" in second
    assert judged(model, TWO_PARTS, second)["score"] >= 0.7


def test_a_question_that_no_passage_answers_is_admitted_and_passes(model: OfflineModel) -> None:
    draft = model.say(asked(UNANSWERABLE))

    assert "does not contain an answer" in draft and "colleague" in draft and "[" not in draft
    judgement = judged(model, UNANSWERABLE, draft)
    assert judgement["score"] >= 0.7 and judgement["grounded"] and judgement["complete"]
    assert judgement["critique"] == "No passage answers the question, and the draft says so."


def test_without_any_passage_the_draft_admits_it_too(model: OfflineModel) -> None:
    assert "does not contain an answer" in model.say(f"<question>{ONE_PART}</question><passages></passages>")


def test_an_admission_does_not_pass_when_a_passage_has_the_answer(model: OfflineModel) -> None:
    judgement = judged(model, ONE_PART, model.say(f"<question>{ONE_PART}</question>"))

    assert judgement["score"] < 0.7 and "replay a dead letter" in judgement["critique"]


def test_a_part_that_no_passage_answers_is_named_after_a_critique(model: OfflineModel) -> None:
    question = "How do I replay a dead letter? Do you offer a discount for schools and universities?"
    first = model.say(asked(question))
    verdict = judged(model, question, first)
    assert verdict["score"] < 0.7

    second = model.say(asked(question, previous_draft=first, critique=verdict["critique"]))

    assert "does not contain an answer to “Do you offer a discount for schools and universities”" in second
    assert judged(model, question, second)["score"] >= 0.7


def test_only_what_is_asked_counts_as_a_part(model: OfflineModel) -> None:
    question = (
        'Hello, I hope you are well.\nWe are a team in Oslo which sells "green" bicycles.\nHow do I replay a '
        '"dead letter"? Can you help me?\nThanks in advance if you can look into it.'
    )
    draft = model.say(asked(question))

    assert judged(model, question, draft)["complete"] and "press Replay" in draft


def test_an_invented_quotation_is_not_grounded(model: OfflineModel) -> None:
    judgement = judged(model, ONE_PART, "Hello,\n“Dead letters are deleted by the moon every night.” [1]")

    assert judgement["score"] < 0.7 and not judgement["grounded"]
    assert "moon" in judgement["critique"]


def test_markup_in_a_passage_can_be_quoted_and_found_again(model: OfflineModel) -> None:
    question = "Where do I see the state and the progress of a task?"
    draft = model.say(asked(question))

    assert "GET /tasks/<id>" in draft and "& its progress" in draft
    assert judged(model, question, draft)["score"] >= 0.7


@pytest.mark.parametrize(
    ("remark", "expected"),
    [
        ("Please mention that our office is closed on Friday.", "our office is closed on Friday"),
        ("Be more formal, please.", "Dear Sir or Madam"),
        ("Please say how long an approval stays open.", "seven days"),
        ("I do not like the weather in this text.", "I do not like the weather in this text"),
    ],
)
def test_a_remark_is_followed(model: OfflineModel, remark: str, expected: str) -> None:
    first = model.say(asked(ONE_PART))

    second = model.say(asked(ONE_PART, previous_draft=first, remark=remark))

    assert expected in second and expected not in first


def test_a_remark_about_length_changes_the_number_of_quotations(model: OfflineModel) -> None:
    first = model.say(asked(ONE_PART))

    longer = model.say(asked(ONE_PART, previous_draft=first, remark="Give more detail."))
    shorter = model.say(asked(ONE_PART, previous_draft=longer, remark="Too long, make it shorter."))

    assert shorter.count("”") < longer.count("”") > first.count("”")


def test_the_same_request_gets_the_same_answer(model: OfflineModel) -> None:
    assert model.chat(asked(TWO_PARTS)) == model.chat(asked(TWO_PARTS))


@pytest.mark.parametrize(
    ("subject", "body", "expected"),
    [
        ("Invoice", "I was charged twice. Please refund the payment.", {"category": "billing", "risk": "medium"}),
        ("Down", "Everything is down since noon, we need help immediately!", {"urgency": "urgent"}),
        ("Question", "How do I set up a webhook? No hurry.", {"category": "how_to", "urgency": "low", "risk": "low"}),
        ("Data", "Our lawyer will write to you about the data breach.", {"risk": "high"}),
        ("Login", "I forgot my password and cannot sign in.", {"category": "account", "urgency": "high"}),
        ("Error", "The worker crashes with an exception: KeyError.", {"category": "technical"}),
        ("Frage", "Wie kann ich die Rechnung für das Konto sehen?", {"language": "de"}),
    ],
)
def test_a_ticket_is_classified_by_what_it_says(
    model: OfflineModel, subject: str, body: str, expected: dict[str, str]
) -> None:
    ticket = f"Classify it.\n<ticket><subject>{subject}</subject><body>{body}</body></ticket>"

    answer = model.fill(TICKET, ticket, name="ticket")

    assert {name: answer[name] for name in expected} == expected
    assert "documents" in answer["sources"]
