"""How well chunks are found: by words, by meaning, and by both fused.

    python -m bench.retrieval

Sixty questions over three collections of sample data (bench/retrieval_sample.json), each labelled with the chunk that
answers it, asked of all collections at once and of the one that has the answer. Recall@5 is the share of questions
whose chunk is among the first five; MRR is the mean of 1 / its place, 0 where it is not among the first forty. The
offline model embeds, as in the demo.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentapp.local.stack import LocalStack

SAMPLE = Path(__file__).with_name("retrieval_sample.json")
AT = 5
DEPTH = 40
RANKINGS = ("full text", "vectors", "fused")


@dataclass(frozen=True)
class Question:
    """`answer` is the heading of the chunk that answers it; headings are unique in the sample."""

    text: str
    collection: str
    answer: str


@dataclass(frozen=True)
class Scores:
    """What came of some questions: at which place the answer of each stood, from 1, or None."""

    places: Sequence[int | None]

    @property
    def recall(self) -> float:
        return sum(place is not None and place <= AT for place in self.places) / len(self.places)

    @property
    def mrr(self) -> float:
        return sum(1 / place for place in self.places if place) / len(self.places)

    @property
    def median(self) -> float:
        """The place that half of the answers reach; an answer that was not found stands behind all."""
        return statistics.median(place or DEPTH + 1 for place in self.places)


def sample() -> dict[str, list[dict[str, Any]]]:
    """Return the documents of each collection."""
    found: dict[str, list[dict[str, Any]]] = json.loads(SAMPLE.read_text())["collections"]
    return found


def questions() -> list[Question]:
    return [
        Question(chunk["question"], collection, chunk["heading"])
        for collection, documents in sample().items()
        for document in documents
        for chunk in document["chunks"]
    ]


def fill(principal: Any) -> None:
    """Load the sample as documents, one for each of its documents."""
    from agentapp.services import documents

    for collection, stored in sample().items():
        for document in stored:
            text = "\n\n".join(f"## {chunk['heading']}\n\n{chunk['text']}" for chunk in document["chunks"])
            documents.load(
                principal, source=f"{document['title']}.md", title=document["title"], text=text, collection=collection
            )


def measured(tenant_id: int, embed: Any, *, within: bool) -> dict[str, Scores]:
    """Ask all questions; `within`: only the collection that has the answer."""
    places: dict[str, list[int | None]] = {name: [] for name in RANKINGS}
    for question in questions():
        collection = question.collection if within else ""
        for name, headings in zip(RANKINGS, _rankings(tenant_id, question, collection, embed), strict=True):
            places[name].append(headings.index(question.answer) + 1 if question.answer in headings else None)
    return {name: Scores(found) for name, found in places.items()}


def _rankings(tenant_id: int, question: Question, collection: str, embed: Any) -> Iterator[list[str]]:
    """The headings that each ranking finds, the best first."""
    from agentapp.models import Chunk
    from agentapp.retrieval import full_text, search

    chunks = Chunk.objects.filter(tenant_id=tenant_id)
    if collection:
        chunks = chunks.filter(document__collection=collection)
    by_id = dict(chunks.values_list("pk", "heading"))
    by_words = [by_id[hit.id] for hit in full_text.rank(chunks, question.text, limit=DEPTH)]
    by_meaning = [by_id[chunk] for chunk in search.by_meaning(chunks, embed([question.text]))]
    fused = search.search(tenant_id, question.text, limit=DEPTH, embed=embed, collection=collection)
    for headings in (by_words, by_meaning, [passage.heading for passage in fused.passages]):
        yield [heading.split(" > ")[-1] for heading in headings]


def report(found: dict[str, Scores], where: str) -> str:
    lines = [f"{where}, {len(next(iter(found.values())).places)} questions", ""]
    lines.append(f"{'':12}{f'recall@{AT}':>10}{'MRR':>8}{'median place':>14}")
    lines += [f"{name:12}{one.recall:>10.3f}{one.mrr:>8.3f}{one.median:>14g}" for name, one in found.items()]
    return "\n".join([*lines, ""])


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    home = Path(tempfile.mkdtemp(prefix="agentapp-bench-"))
    with LocalStack(home, processes={"model"}, say=print) as stack:
        about = stack.stack
        os.environ |= {
            "AGENTAPP_HOME": str(home), "DATABASE_URL": about["database_url"], "REDIS_URL": about["redis_url"],
            "DJANGO_SETTINGS_MODULE": "config.settings", "AGENTAPP_EMBEDDING_URL": about["model_url"],
            "AGENTAPP_EMBEDDING_MODEL": "offline",
        }  # fmt: skip
        import django

        django.setup()
        from agentapp.llm import client
        from agentapp.policies.permissions import API_SCOPES
        from agentapp.services import api_keys, principals, tenants

        tenant = tenants.create(slug="bench", name="Benchmark")
        fill(principals.of_key(api_keys.create(tenant=tenant, name="bench", scopes=list(API_SCOPES))[0]))
        for within, where in ((False, "All collections at once"), (True, "The collection that has the answer")):
            print(report(measured(tenant.pk, lambda texts: client.embed(texts, timeout_s=20), within=within), where))


if __name__ == "__main__":
    main()
