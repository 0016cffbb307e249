"""Judge a draft by comparing it with the passages and with what the question asks."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from agentapp.offline_model import drafting, questions, sentences
from agentapp.offline_model.sections import Passage, Prompt

# A sentence of the draft answers a part when it comes this near to the best that the passages offer.
AS_GOOD_AS_BEST = 0.8

_NO_ANSWER = re.compile(
    r"(?:do(?:es)? not|doesn't|don't) (?:contain|have|hold|give|offer) (?:an|any|the)? ?(?:answer|information)"
    r"|no (?:answer|information)|(?:not|nothing) (?:found )?in (?:our|the) knowledge base",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Judgement:
    """`groundedness` and `coverage` are shares, 0 to 1; `missing` are the parts of the question without an answer.

    `is_admission`: the draft says that it knows no answer, and nothing else.
    """

    groundedness: float
    coverage: float
    missing: list[str]
    unfounded: list[str]
    is_admission: bool = False

    @property
    def score(self) -> float:
        """One figure: an unfounded draft is worth nothing, half an answer stays below 0.7."""
        return round(self.groundedness * (0.05 + 0.9 * self.coverage), 2)

    def critique(self) -> str:
        """Say in words what a better draft needs."""
        said = [f"The draft does not answer “{part}”." for part in self.missing]
        said += [f"No passage says '{quote}'." for quote in self.unfounded]
        if self.is_admission:
            said = said or ["No passage answers the question, and the draft says so."]
        return " ".join(said) or "Every part of the question is answered by a quoted passage."


def judge(prompt: Prompt) -> Judgement:
    """Compare the draft of a prompt with its passages and its question."""
    draft, passages, question = prompt.latest("draft"), prompt.passages(), prompt.latest("question")
    claims = _claims(draft)
    unfounded = [claim for claim in claims if not _founded(claim, passages)]
    # Nothing claimed is grounded when it is an honest "we do not know", and worthless when it is silence.
    is_admission = not claims and bool(_NO_ANSWER.search(draft))
    groundedness = 1 - len(unfounded) / len(claims) if claims else float(is_admission)
    asked = questions.parts(question)
    missing = [part for part in asked if not _answered(part, claims, draft, passages, question=question)]
    return Judgement(groundedness, 1 - len(missing) / len(asked), missing, unfounded, is_admission)


def answer(judgement: Judgement) -> dict[str, Any]:
    """Name the judgement's facts as schemas usually call them."""
    passed = judgement.score >= 0.7
    return {
        "score": judgement.score,
        "groundedness": judgement.groundedness,
        "coverage": judgement.coverage,
        "grounded": not judgement.unfounded and judgement.groundedness > 0,
        "complete": not judgement.missing,
        "passed": passed,
        "critique": judgement.critique(),
        "missing": judgement.missing,
        "verdict": "pass" if passed else "revise",
    }


def _claims(draft: str) -> list[str]:
    """Return what a draft states: its quotations, or else its sentences of substance."""
    quoted = drafting.quotations(draft)
    if quoted:
        return quoted
    said = [sentence for sentence in sentences.split(draft) if not _NO_ANSWER.search(sentence)]
    return [
        sentence
        for sentence in said
        if len(sentences.stems(sentence)) >= 4
        and sentence not in drafting.SIGNATURE
        and drafting.SIGNATURE not in sentence
        and "colleague" not in sentence
    ]


def _founded(claim: str, passages: list[Passage]) -> bool:
    """Say whether a passage has the claim word by word, or a sentence that is nearly the same."""
    if any(sentences.contains(passage.text, claim) for passage in passages):
        return True
    return any(hit.closeness >= 0.75 for hit in questions.hits(claim, passages)[:1])


def _answered(part: str, claims: list[str], draft: str, passages: list[Passage], *, question: str) -> bool:
    """Say whether a draft answers one part of a question, or admits that no passage does."""
    best = questions.best(part, passages, context=question)
    if best is None:
        return bool(_NO_ANSWER.search(draft))
    needed = AS_GOOD_AS_BEST * best.closeness
    for passage in passages:
        stated = Passage(passage.id, passage.title, "\n\n".join(claim for claim in claims if _from(claim, passage)))
        if any(hit.closeness >= needed for hit in questions.hits(part, [stated], context=question)[:1]):
            return True
    return False


def _from(claim: str, passage: Passage) -> bool:
    return sentences.contains(passage.text, claim)
