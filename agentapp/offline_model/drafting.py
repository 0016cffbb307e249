"""Write a reply by quoting passages, as a small and honest model would."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from agentapp.offline_model import questions, sentences
from agentapp.offline_model.questions import Hit
from agentapp.offline_model.sections import Passage, Prompt

SIGNATURE = "(Written by the offline model: it quotes the passages it was given and adds nothing of its own.)"
NO_ANSWER = (
    "Our knowledge base does not contain an answer to your question. A colleague will look into it and follow up."
)
NO_ANSWER_TO = "Our knowledge base does not contain an answer to “{part}”. A colleague will follow up on this."

_QUOTED = re.compile(r"[“\"]([^“”\"]{3,})[”\"]")
_CITED = re.compile(r"[“\"]([^“”\"]+)[”\"] \[([\w.-]+)\]")
_MENTION = re.compile(
    r"\b(?:mention(?:ing)?|add(?:ing)?|includ(?:e|ing)|say(?:ing)?|tell (?:them|him|her|the customer)|explain(?:ing)?"
    r"|note|point out|talk about|write about)\b(?: that)?[:\s]+(?P<subject>[^\n]+)$",
    re.IGNORECASE | re.MULTILINE,
)


@dataclass
class Letter:
    """A reply in the making: what is quoted, what is added, and its tone."""

    quotes: list[Hit] = field(default_factory=list)
    added: list[str] = field(default_factory=list)
    unanswered: list[str] = field(default_factory=list)
    greeting: str = "Hello,"
    closing: str = "Kind regards"

    def quote(self, hit: Hit) -> bool:
        """Add a quotation unless the letter has it; say whether it is new."""
        if any(known.sentence == hit.sentence for known in self.quotes):
            return False
        self.quotes.append(hit)
        return True

    def text(self) -> str:
        """Write the letter as plain text."""
        lines = [f"“{clean(hit.sentence)}” [{hit.passage.id}]" for hit in self.quotes]
        said = []
        if lines:
            said = ["thank you for your question. This is what our documentation says:", "\n".join(lines)]
        elif not self.unanswered:
            said = ["thank you for your question.", NO_ANSWER]
        if self.unanswered:
            said = said or ["thank you for your question."]
            said.append("\n".join(NO_ANSWER_TO.format(part=part) for part in self.unanswered))
        return "\n\n".join([self.greeting, *said, *self.added, f"{self.closing}\n{SIGNATURE}"])


def write(prompt: Prompt) -> str:
    """Answer the question of a prompt with its passages.

    The first draft quotes the one best passage only. A critique adds what other passages say about the points it
    names; a remark is followed where it is simple, and always changes the letter. What an earlier draft quoted stays.
    """
    question = prompt.latest("question")
    passages = prompt.passages()
    critiques, remarks = prompt.all("critique"), prompt.all("remark")
    previous = prompt.latest("previous_draft")
    letter = Letter()
    for hit in _quoted_before(previous, passages):
        letter.quote(hit)
    if not letter.quotes:
        letter.quotes = first_quotes(question, passages)
    for critique in critiques:
        _answer_critique(letter, critique, question=question, passages=passages)
    for remark in remarks:
        _follow(letter, remark, question=question, passages=passages)
    if previous and letter.text() == previous.strip():
        subject = " ".join((remarks or critiques or [question])[-1].split())
        letter.added.append(f"We read your request again: “{clean(subject)}”. The passages above are all that we know.")
    return letter.text()


def first_quotes(question: str, passages: list[Passage]) -> list[Hit]:
    """Return the sentences of the single best passage: the best one for each part of the question it speaks about."""
    best = [hit for part in questions.parts(question) if (hit := questions.best(part, passages, context=question))]
    if not best:
        return []
    passage = max(best, key=lambda hit: hit.closeness).passage
    chosen: list[Hit] = []
    for part in questions.parts(question):
        near = questions.hits(part, [passage], context=question)
        relevant = [hit for hit in near if hit.closeness >= questions.RELEVANT]
        # One sentence of support, where it is nearly as close as the best.
        chosen += relevant[:1] + [hit for hit in relevant[1:2] if hit.closeness >= 0.8 * relevant[0].closeness]
    unique = list({hit.sentence: hit for hit in chosen}.values())
    order = sentences.split(passage.text)
    return sorted(unique[:4], key=lambda hit: order.index(hit.sentence))


def quotations(draft: str) -> list[str]:
    """Return the sentences that a draft quotes with a citation."""
    return [quote for quote, _ in _CITED.findall(draft)]


def named_points(critique: str) -> list[str]:
    """Return what a critique asks for: the phrases it quotes, else its sentences."""
    return [" ".join(point.split()) for point in _QUOTED.findall(critique)] or sentences.split(critique)


def _quoted_before(previous: str, passages: list[Passage]) -> list[Hit]:
    """Find what the previous draft quoted in the passages of now."""
    found = []
    for quote in quotations(previous):
        for passage in passages:
            exact = [sentence for sentence in sentences.split(passage.text) if clean(sentence) == quote]
            if exact:
                found.append(Hit(passage, exact[0], 1.0))
                break
    return found


def _answer_critique(letter: Letter, critique: str, *, question: str, passages: list[Passage]) -> None:
    """Quote the best sentence for each point, or say plainly that there is none."""
    for point in named_points(critique):
        hit = questions.best(point, passages, context=question)
        if hit is not None:
            letter.quote(hit)
        elif _QUOTED.search(critique):
            letter.unanswered.append(point)


def _follow(letter: Letter, remark: str, *, question: str, passages: list[Passage]) -> None:
    """Do what a person asked for, as far as it is simple; else quote the subject and what the passages say about it."""
    understood = _set_tone(letter, remark) | _set_length(letter, remark, question=question, passages=passages)
    mention = _MENTION.search(remark)
    if understood and mention is None:
        return
    subject = " ".join((mention["subject"] if mention else remark).split()).rstrip(".!? ")
    hit = questions.best(subject, passages)
    if hit is not None and letter.quote(hit):
        letter.added.append(f"Regarding “{clean(subject)}”, please see [{hit.passage.id}] above.")
    elif mention is not None:
        letter.added.append(f"Please also note: {clean(subject)}.")
    else:
        letter.added.append(f"Regarding “{clean(subject)}”: we have nothing to add to the passages above.")


def _set_tone(letter: Letter, remark: str) -> bool:
    """Make the letter formal or friendly when asked; say whether it was."""
    if re.search(r"\b(?:in|less )formal|friendl|casual|warm", remark, re.IGNORECASE):
        letter.greeting, letter.closing = "Hi there,", "Best wishes"
    elif re.search(r"\bformal|polite|courteous|professional", remark, re.IGNORECASE):
        letter.greeting, letter.closing = "Dear Sir or Madam,", "Yours faithfully"
    else:
        return False
    return True


def _set_length(letter: Letter, remark: str, *, question: str, passages: list[Passage]) -> bool:
    """Cut or lengthen the letter when asked; say whether it was."""
    if re.search(r"\b(?:short|shorter|brief|briefer|concise|cut|trim|too long)\b", remark, re.IGNORECASE):
        kept = len(questions.parts(question)) if len(letter.quotes) > len(questions.parts(question)) else 1
        letter.quotes = sorted(letter.quotes, key=lambda hit: -sentences.closeness(question, hit.sentence))[:kept]
    elif re.search(r"\b(?:long|longer|detail|details|detailed|more|elaborate|too short)\b", remark, re.IGNORECASE):
        for hit in questions.hits(question, passages)[: len(letter.quotes) + 3]:
            if hit.closeness >= questions.RELEVANT / 2:
                letter.quote(hit)
    else:
        return False
    return True


def clean(text: str) -> str:
    """Take Markdown marks and double quotation marks out of a sentence that will be quoted."""
    unlinked = re.sub(r"\[([^\[\]]+)\]\([^()]*\)", r"\1", text)
    return " ".join(re.sub(r"[*`“”\"|]+", " " if "|" in unlinked else "", unlinked).split())
