"""What is remembered of customers: written once, corrected, erased without a trace of its text."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection
from pytest_django import Settings

from agentapp.lifecycle import memories as moves
from agentapp.lifecycle.memories import Fact, Vector
from agentapp.models import Memory, MemoryChange, Tenant
from agentapp.policies import facts
from agentapp.services import memories
from agentapp.services.principals import Principal
from tests.api.conftest import Api, problem_of

ADA, BOB = "ada@example.test", "bob@example.test"


@pytest.fixture(autouse=True)
def no_embeddings(settings: Settings) -> None:
    settings.AGENTAPP_EMBEDDING_URL = settings.AGENTAPP_EMBEDDING_MODEL = ""


def made(api: Api, text: str = "Pays by invoice.", about: str = ADA) -> dict[str, Any]:
    memory: dict[str, Any] = api.post("/memories", {"about": about, "text": text}).json()
    return memory


def texts(api: Api, **query: str) -> list[str]:
    return [row["text"] for row in api.get("/memories", **query).json()["results"]]


@pytest.mark.django_db
def test_the_same_fact_in_other_writing_is_one(api: Api) -> None:
    first = made(api)
    again = api.post("/memories", {"about": " ADA@example.test", "text": "pays  by INVOICE"})

    assert (again.status_code, again.json()) == (200, first)
    assert made(api, about=BOB)["id"] != first["id"]
    assert Memory.objects.count() == 2


@pytest.mark.django_db
def test_a_correction_is_a_new_version_and_the_old_one_says_until_when_it_held(api: Api) -> None:
    first = made(api)
    second = api.patch(f"/memories/{first['id']}", {"text": "Pays by card."}).json()

    assert (second["fact"], second["text"], second["valid_until"]) == (first["fact"], "Pays by card.", None)
    assert api.get(f"/memories/{first['id']}").json()["valid_until"] == second["valid_from"]
    assert texts(api, about=ADA) == ["Pays by card."]
    assert texts(api, about=ADA, superseded="true") == ["Pays by card.", "Pays by invoice."]
    problem_of(api.patch(f"/memories/{first['id']}", {"text": "Pays in cash."}), 409)


@pytest.mark.django_db
@pytest.mark.parametrize("method", ["patch", "post"])
def test_what_a_person_says_again_is_trusted_from_then_on(api: Api, tenant: Tenant, method: str) -> None:
    read, _ = moves.write(Fact(tenant.pk, ADA, "Pays by invoice.", "sync_memory", is_untrusted=True))
    path = f"/memories/{read.pk}" if method == "patch" else "/memories"
    body = {"text": read.text} | ({} if method == "patch" else {"about": ADA})

    vouched = getattr(api, method)(path, body).json()

    assert (vouched["fact"], vouched["untrusted"], vouched["text"]) == (str(read.fact_id), False, read.text)
    assert api.get(f"/memories/{read.pk}").json()["valid_until"] == vouched["valid_from"]
    again = moves.write(Fact(tenant.pk, ADA, "pays by invoice", "sync_memory", is_untrusted=True))
    assert (str(again[0].pk), again[1]) == (vouched["id"], False)


@pytest.mark.django_db
def test_a_text_of_others_ends_no_fact_that_a_person_has_vouched_for(api: Api, tenant: Tenant) -> None:
    first = made(api)
    other = Fact(tenant.pk, ADA, "Pays by card.", "sync_memory", is_untrusted=True)
    read, is_new = moves.write(other, supersedes=UUID(first["id"]))

    assert is_new and str(read.fact_id) != first["fact"]
    assert texts(api) == ["Pays by card.", "Pays by invoice."]


@pytest.mark.django_db
def test_a_correction_that_says_what_another_fact_says_is_refused(api: Api) -> None:
    made(api, "Pays by card.")
    other = made(api, "Pays by invoice.")

    problem = problem_of(api.patch(f"/memories/{other['id']}", {"text": "pays by card"}), 422)

    assert problem["errors"][0]["field"] == "text"
    assert sorted(texts(api)) == ["Pays by card.", "Pays by invoice."]


@pytest.mark.django_db
def test_an_erased_fact_leaves_no_row_no_vector_and_no_word(api: Api, tenant: Tenant) -> None:
    vector = Vector([1.0, 0.0], "m", 2)
    moves.write(Fact(tenant.pk, ADA, "Is called Unspoken.", "key:a", is_untrusted=False, vector=vector))
    kept = made(api, about=BOB)
    fact = api.get("/memories", about=ADA).json()["results"][0]
    corrected = api.patch(f"/memories/{fact['id']}", {"text": "Is called Unspoken too."}).json()

    # Of any version.
    assert api.delete(f"/memories/{fact['id']}").status_code == 204

    assert [str(row.pk) for row in Memory.objects.all()] == [kept["id"]]
    problem_of(api.get(f"/memories/{corrected['id']}"), 404)
    problem_of(api.delete(f"/memories/{fact['id']}"), 404)
    said = list(MemoryChange.objects.filter(fact_id=fact["fact"]).order_by("id"))
    assert [change.action for change in said] == ["written", "superseded", "written", "erased"]
    assert "Unspoken" not in repr([vars(change) for change in said]) and ADA not in repr([vars(c) for c in said])


@pytest.mark.django_db
def test_all_about_one_customer_is_erased_and_nothing_else(api: Api, other_api: Api) -> None:
    for number in range(3):
        made(api, f"Has {number} cats.")
    api.patch(f"/memories/{made(api)['id']}", {"text": "Pays by card."})
    made(api, about=BOB)
    made(other_api)

    assert api.post("/memories/erase", {"about": "Ada@Example.test"}).json() == {"facts": 4}

    assert (texts(api, superseded="true"), texts(other_api)) == (["Pays by invoice."], ["Pays by invoice."])
    assert api.post("/memories/erase", {"about": ADA}).json() == {"facts": 0}


@pytest.mark.django_db
def test_a_foreign_memory_is_as_unknown_as_one_that_nobody_has(api: Api, other_api: Api) -> None:
    foreign, nobodys = made(other_api)["id"], str(uuid4())
    for ask in (api.get, api.delete, lambda path: api.patch(path, {"text": "Mine."})):
        answers = [problem_of(ask(f"/memories/{pk}"), 404)["detail"] for pk in (foreign, nobodys)]
        assert answers[0].replace(foreign, nobodys) == answers[1]
    assert texts(other_api) == ["Pays by invoice."]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("about", "text", "field"),
    [("", "a", "about"), (" ", "a", "about"), ("a" * 321, "a", "about"), (ADA, " ", "text"), (ADA, "a" * 501, "text"),
     (ADA, "a\0b", "text")],
)  # fmt: skip
def test_a_fact_has_bounds(api: Api, about: str, text: str, field: str) -> None:
    problem = problem_of(api.post("/memories", {"about": about, "text": text}), 422)

    assert problem["errors"][0]["field"] == field
    assert not Memory.objects.exists()


@pytest.mark.django_db
def test_one_customer_has_at_most_so_many_facts(api: Api, tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts, "MOST_OF_ONE", 2)
    first = made(api, "Has one cat.")
    made(api, "Has two cats.")

    problem_of(api.post("/memories", {"about": ADA, "text": "Has three cats."}), 422)

    assert api.patch(f"/memories/{first['id']}", {"text": "Has four cats."}).status_code == 200
    assert made(api, about=BOB)["text"] == "Pays by invoice."


@pytest.mark.django_db
def test_facts_that_mean_the_same_are_merged_within_one_vector_space(tenant: Tenant) -> None:
    def write(text: str, *vector: float, model: str = "m") -> bool:
        fact = Fact(tenant.pk, ADA, text, "sync_memory", is_untrusted=True, vector=Vector([*vector], model, 2))
        return moves.write(fact, merges=True)[1]

    assert write("Pays by invoice.", 1.0, 0.0)
    assert not write("The customer pays by invoice.", 0.999, 0.01)
    assert write("Has a cat.", 0.0, 1.0)
    assert write("An invoice is how the customer pays.", 1.0, 0.0, model="another")
    assert Memory.objects.count() == 3


@pytest.mark.django_db
def test_a_fact_that_contradicts_another_supersedes_it(tenant: Tenant) -> None:
    task = uuid4()
    earlier, _ = moves.write(Fact(tenant.pk, ADA, "Lives in Bonn.", "sync_memory", is_untrusted=True))
    fact = Fact(tenant.pk, ADA, "Lives in Ulm.", "sync_memory", is_untrusted=True, task_id=task)

    later, is_new = moves.write(fact, supersedes=earlier.pk)
    once_more = moves.write(fact, supersedes=earlier.pk)

    earlier.refresh_from_db()
    assert is_new and once_more == (later, False)
    assert (later.fact_id, later.task_id, earlier.valid_until) == (earlier.fact_id, task, later.valid_from)


@pytest.mark.django_db(transaction=True)
def test_two_that_write_one_fact_at_once_make_one_row(tenant: Tenant) -> None:
    fact = Fact(tenant.pk, ADA, "Pays by invoice.", "sync_memory", is_untrusted=True)

    def write(_: int) -> bool:
        try:
            return moves.write(fact)[1]
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        written = list(pool.map(write, range(2)))

    assert sorted(written) == [False, True]
    assert Memory.objects.count() == MemoryChange.objects.count() == 1


@pytest.mark.django_db
def test_among_ten_thousand_a_customer_is_found_by_an_index(tenant: Tenant) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO agentapp_memory (id, tenant_id, about, fact_id, text, text_sha256, is_untrusted, written_by,"
            " valid_from, embedding_model, embedding_dimension) SELECT gen_random_uuid(), %s, 'c' || mod(n, 1000),"
            " gen_random_uuid(), 'fact ' || n, n, false, 'key:a', now(), '', 0 FROM generate_series(1, 10000) n",
            [tenant.pk],
        )
        cursor.execute("ANALYZE agentapp_memory")
    reader = Principal(frozenset({"memories:read"}), frozenset({tenant.pk}))
    rows = memories.listing(reader, about="C7")

    assert rows.count() == 10
    for plan in (rows[:50].explain(), memories.listing(reader)[:50].explain()):
        assert "Seq Scan" not in plan and "Index" in plan, plan
