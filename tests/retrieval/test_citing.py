"""A citation says which row it quotes, so that it can be seen whether it still says so. [C10]"""

from __future__ import annotations

import json

import pytest
from django.db import connection

from agentapp import clock, redaction
from agentapp.ids import uuid7
from agentapp.lifecycle import function_set
from agentapp.models import Chunk, Document, Tenant
from agentapp.retrieval import citing, passages
from agentapp.retrieval.passages import Found, Passage

pytestmark = pytest.mark.django_db
SECRET = "sk-test-0123456789abcdef"


@pytest.mark.parametrize(
    "text", ["A lamp costs 5 EUR.", f"The key is {SECRET}.", "long " * 9_000], ids=["", "secret", "long"]
)
def test_the_same_text_loaded_again_makes_no_citation_stale(tenant: Tenant, text: str) -> None:
    """A passage is not always what its row says: secrets are taken out, and a long one is cut."""
    redaction.learn(SECRET)
    now = clock.now()
    document = Document.objects.create(
        tenant=tenant, source="a", title="Prices", sha256="", size=9, created_at=now, updated_at=now
    )
    chunk = Chunk.objects.create(document=document, tenant=tenant, position=0, text=text)
    passage = Passage(id=str(chunk.pk), source="documents", title="Prices", heading="", text=text, score=1.0)
    numbered = passages.kept(Found([passage], "full_text"), limit=1).passages

    cited = citing.identified(tenant.pk, passages.quoted([1], numbered), numbered)
    Chunk.objects.filter(pk=chunk.pk).delete()
    Chunk.objects.create(id=uuid7(), document=document, tenant=tenant, position=0, text=text)

    with connection.cursor() as cursor:
        statement = f"SELECT {function_set.SCHEMA}.stale_sources(%s, %s::jsonb)"
        cursor.execute(statement, [tenant.pk, json.dumps(cited)])
        assert cursor.fetchone() == (None,)
