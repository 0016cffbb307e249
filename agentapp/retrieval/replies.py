"""Search the replies that a tenant's people have approved before."""

from __future__ import annotations

import re
from functools import reduce
from operator import or_

from django.contrib.postgres.search import SearchRank, SearchVector
from django.db.models import F, Q
from django.db.models.fields.json import KeyTextTransform

from agentapp.models import Approval
from agentapp.retrieval import full_text
from agentapp.retrieval.embedding import Embed
from agentapp.retrieval.passages import Found, Passage
from agentapp.states import ApprovalState

# Full text is computed as it is searched, so only the newest replies are.
NEWEST = 500

# The drafting prompt asks for these words where nothing is known; quoted later, the line would pass for an answer.
_ADMISSION = re.compile(r"^.*knowledge base does not contain an answer.*\n?", re.IGNORECASE | re.MULTILINE)
# Greetings, thanks and signatures are in every reply, and an answer to nothing.
_COURTESY = re.compile(
    r"^(?:hello|hi|dear|thank you for|thanks for|kind regards|best regards|regards|\(written by)\b.*\n?",
    re.IGNORECASE | re.MULTILINE,
)
# From the first blank on: to begin at each of many blanks would take the square of their number.
_CITATION = re.compile(r"(?<![ \t])[ \t]*\[\d+(?:\s*,\s*\d+)*\]")


def search(tenant_id: int, query: str, *, limit: int, embed: Embed) -> Found:
    """Return earlier approved replies that share words with the query, at most `limit`, best first.

    The recipient stays out of it, and so do citation marks, which would point at passages of another answer.
    """
    approved = Approval.objects.filter(tenant_id=tenant_id, state=ApprovalState.APPROVED)
    words = full_text.queries(approved, query)
    if not words:
        return Found(passages=[], mode="full_text")
    newest = approved.filter(_teaches()).order_by("-id")[:NEWEST]
    any_of_them = reduce(or_, words)
    vector = SearchVector(
        KeyTextTransform("subject", "content"), KeyTextTransform("body", "content"), config=full_text.CONFIG
    )
    found = (
        Approval.objects.filter(pk__in=newest.values("pk"))
        .annotate(vector=vector, rank=SearchRank(vector, any_of_them, cover_density=True))
        .filter(vector=any_of_them)
        .order_by("-rank", "-id")
    )
    return Found(passages=[_passage(approval, score=approval.rank) for approval in found[:limit]], mode="full_text")


def _teaches() -> Q:
    """A reply that quoted something, or that a person wrote into; the others say only that nothing was found."""
    return ~Q(sources=[]) | ~Q(content=F("draft"))


def without_ceremony(body: str) -> str:
    for pattern in (_ADMISSION, _COURTESY, _CITATION):
        body = pattern.sub("", body)
    return body.strip()


def _passage(approval: Approval, *, score: float) -> Passage:
    subject = str(approval.content.get("subject", ""))
    return Passage(
        id=str(approval.pk),
        source="approved_replies",
        title=f"Earlier reply: {subject}",
        heading="",
        text=without_ceremony(str(approval.content.get("body", ""))),
        score=round(score, 6),
    )
