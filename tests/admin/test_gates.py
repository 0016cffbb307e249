"""Gates, limits and their changes in the admin: for superusers, with errors beside their fields. [E1]"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any
from urllib.parse import unquote

import pytest
from django.test import Client
from django.urls import reverse

from agentapp import clock
from agentapp.admin import gates
from agentapp.admin.limits import page_of_key
from agentapp.lifecycle import gates as moves
from agentapp.lifecycle.claim import claim
from agentapp.lifecycle.opened import Claimed, Refused
from agentapp.models import ApiKey, Gate, GateChange, Job, Limit, Tenant
from agentapp.policies.permissions import OPERATOR_SCOPES, WORKER_CLASS_SCOPES
from agentapp.services import workflows
from agentapp.services.principals import Principal
from tests.admin.conftest import MakeStaff

pytestmark = pytest.mark.django_db

GATES, LIMITS, CHANGES = (f"/admin/agentapp/{name}/" for name in ("gate", "limit", "gatechange"))
ADD = f"{GATES}add/"
FORM = {"scope": "job_type", "pattern": "sample_*", "concurrency": "2"}
MODEL = "acme/large:2025-01"


def text_of(answer: Any) -> str:
    return re.sub(r"\s+", " ", answer.content.decode())


def page_of(gate: Gate) -> str:
    return reverse("admin:agentapp_gate_change", args=(gate.pk,))


def wrong(answer: Any) -> dict[str, str]:
    """What the page says beside which field."""
    return dict(re.findall(r'<p class="error" id="wrong-(\w+)">(.*?)</p>', answer.content.decode()))


def take(job: Job) -> Claimed | Refused:
    return claim(str(job.pk), worker="worker", queues=tuple(WORKER_CLASS_SCOPES), lease_s=15)


def lookups(principal: Principal) -> list[Job]:
    """Three jobs of one task, of the job type sample_lookup."""
    run = workflows.submit(principal, kind="sample_reply", input={})
    return list(Job.objects.filter(workflow=run, type="sample_lookup").order_by("part"))


def test_a_gate_is_made_changed_and_deleted_with_a_reason(operator: Client) -> None:
    moves.know(["job_type:sample_lookup"])
    made = operator.post(ADD, FORM | {"note": "slow", "reason": "asked for by Kim"}, follow=True)
    gate = Gate.objects.get()
    assert made.redirect_chain[-1][0] == page_of(gate)
    assert "holds from the next claim on" in text_of(made) and "sample_lookup" in text_of(made)
    assert (gate.concurrency, gate.reserved, gate.requests_per_min, gate.note) == (2, 0, None, "slow")
    assert Limit.objects.get(key="job_type:sample_lookup").concurrency == 2

    operator.post(page_of(gate), FORM | {"concurrency": "", "requests_per_min": "0.5", "request_burst": "4"})
    gate.refresh_from_db()
    assert (gate.concurrency, gate.requests_per_min, gate.request_burst, gate.note) == (None, 0.5, 4, "")

    gone = operator.post(page_of(gate), {"action": "delete", "reason": "over"}, follow=True)
    assert gone.redirect_chain[-1][0] == GATES and "is gone" in text_of(gone)
    assert Limit.objects.get(key="job_type:sample_lookup").gate_id is None
    changes = list(GateChange.objects.order_by("id").values_list("action", "reason", "actor"))
    assert changes == [
        ("created", "asked for by Kim", "user:operator"), ("changed", "", "user:operator"),
        ("deleted", "over", "user:operator"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("values", "field", "says"),
    [
        ({"concurrency": "two"}, "concurrency", "whole number"),
        ({"concurrency": "-1"}, "concurrency", "between"),
        ({"concurrency": ""}, "concurrency", "limits nothing"),
        ({"reserved": "3"}, "reserved", "only 2 slots"),
        ({"requests_per_min": "nan"}, "requests_per_min", "between"),
        ({"requests_per_min": "1,5"}, "requests_per_min", "a number"),
        ({"pattern": ""}, "pattern", "needs a value"),
        ({"scope": "queue"}, "scope", "Choose one of"),
        ({"tier": "gold"}, "tier", "scope tenant"),
        ({"max_waiting": "5"}, "max_waiting", "Only tenants"),
        ({"note": "x" * 301}, "note", "300 characters"),
        ({"reason": "x" * 301}, "reason", "300 characters"),
    ],
)
def test_what_the_service_refuses_stands_beside_its_field_and_what_was_typed_stays(
    operator: Client, values: dict[str, str], field: str, says: str
) -> None:
    answer = operator.post(ADD, FORM | values)

    assert answer.status_code == 422
    assert list(wrong(answer)) == [field] and says in wrong(answer)[field]
    assert f"help-{field} wrong-{field}" in answer.content.decode() and 'aria-invalid="true"' in text_of(answer)
    if field != "scope":  # which is chosen from a list
        assert f'value="{values[field]}"' in text_of(answer) or f"{values[field]}</textarea>" in text_of(answer)
    assert not Gate.objects.exists() and not GateChange.objects.exists()


def test_who_saves_a_form_that_was_opened_before_anothers_change_undoes_nothing(operator: Client) -> None:
    operator.post(ADD, FORM)
    gate = Gate.objects.get()

    def opened() -> dict[str, str]:
        found = re.findall(r'name="as_read" value="(.*?)"', operator.get(page_of(gate)).content.decode())
        assert len(set(found)) == 1 and len(found) == 2
        return FORM | {"reserved": "0", "as_read": found[0]}

    both = opened()
    assert operator.post(page_of(gate), both | {"concurrency": "5"}).status_code == 302
    late = operator.post(page_of(gate), both | {"note": "mine", "concurrency": "2"})
    assert late.status_code == 409 and "Somebody has changed this" in text_of(late)
    assert wrong(late) == {"concurrency": "Saved meanwhile: 5.", "note": "Saved meanwhile: empty."}
    assert ">mine</textarea>" in text_of(late).replace("> mine", ">mine")
    for changed in ({"action": "delete"}, {"as_read": "when?"}):
        assert operator.post(page_of(gate), both | changed).status_code == 409
    assert both["as_read"] in operator.post(page_of(gate), both | {"reason": "x" * 301}).content.decode()
    assert Gate.objects.filter(concurrency=5, note="").exists()

    assert operator.post(page_of(gate), opened() | {"concurrency": "5", "note": "mine"}).status_code == 302
    assert operator.post(page_of(gate), opened() | {"action": "delete"}).status_code == 302


def test_a_second_gate_for_the_same_keys_is_refused_beside_the_name(operator: Client) -> None:
    operator.post(ADD, FORM)
    assert "already" in wrong(operator.post(ADD, FORM))["pattern"]


def test_a_gate_that_somebody_has_deleted_is_said_to_be_gone(operator: Client) -> None:
    operator.post(ADD, FORM)
    gate = Gate.objects.get()
    operator.post(page_of(gate), {"action": "delete"})
    assert "There is no gate" in text_of(operator.post(page_of(gate), FORM, follow=True))


def test_a_key_is_stopped_at_once_and_goes_on_when_it_is_resumed(operator: Client, principal: Principal) -> None:
    first, second, third = lookups(principal)
    assert isinstance(take(first), Claimed)
    page = page_of_key("job_type:sample_lookup")
    assert "1" in text_of(operator.get(page))

    paused = operator.post(page, {"action": "pause", "reason": "the disk is full"}, follow=True)

    assert "Paused: no job starts" in text_of(paused) and "the disk is full" in text_of(paused)
    assert take(second) == Refused("parked")
    assert "Resumed" in text_of(operator.post(page, {"action": "resume"}, follow=True))
    assert isinstance(take(third), Claimed)
    moves_made = GateChange.objects.order_by("id").values_list("action", "before__mode", "after__mode", "actor")
    assert list(moves_made) == [
        ("paused", "open", "paused", "user:operator"), ("resumed", "paused", "open", "user:operator"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("form", "status", "says"),
    [
        ({"action": "pause", "reason": " "}, 422, "Say why"),
        ({"action": "drain", "reason": "x" * 301}, 422, "300 characters"),
        ({"action": "resume"}, 409, "open already"),
        ({"action": "explode"}, 422, "Choose one of the buttons"),
    ],
)
def test_a_move_that_makes_no_sense_is_refused_in_words(
    operator: Client, form: dict[str, str], status: int, says: str
) -> None:
    moves.know([f"model:{MODEL}"])
    answer = operator.post(page_of_key(f"model:{MODEL}"), form)

    assert answer.status_code == status and says in text_of(answer)
    assert Limit.objects.get().mode == "open" and not GateChange.objects.exists()


def test_many_keys_are_stopped_from_the_list_with_one_reason(operator: Client, tenant: Tenant) -> None:
    keys = ["model:a", f"model:{MODEL}", f"tenant:{tenant.pk}"]
    moves.know([*keys, "model:b"])
    form = {"action": "pause", "_selected_action": keys}

    assert "Say why" in text_of(operator.post(LIMITS, form, follow=True))
    done = text_of(operator.post(LIMITS, form | {"reason": "moving platform"}, follow=True))

    assert "3 keys. Paused" in done
    assert set(Limit.objects.filter(mode="paused").values_list("key", flat=True)) == set(keys)
    assert "paused already" in text_of(operator.post(LIMITS, form | {"reason": "again"}, follow=True))


def test_the_list_shows_what_is_stopped_first_and_how_full_each_key_is(operator: Client, principal: Principal) -> None:
    operator.post(ADD, FORM)
    for job in lookups(principal)[:2]:
        take(job)
    moves.know(["model:a", "model:z"])
    Limit.objects.filter(key="model:z").update(breaker="open", closed_until=clock.now() + timedelta(seconds=30))

    text = text_of(operator.get(LIMITS))

    assert text.index(">z<") < text.index(">a<")
    assert "breaker open" in text and '<progress max="2" value="2" aria-label="running"></progress> 2/2' in text
    assert "One call is tried <time" in text_of(operator.get(page_of_key("model:z")))
    shown = operator.get(f"{LIMITS}?scope=job_type").content.decode()
    assert {unquote(key) for key in re.findall(rf'{LIMITS}([^"/?]+)/change', shown)} >= {"job_5Ftype_3Asample_5Flookup"}


def test_changes_are_listed_and_can_only_be_read(operator: Client, tenant: Tenant) -> None:
    operator.post(ADD, FORM)
    operator.post(page_of(Gate.objects.get()), FORM | {"concurrency": "7", "reason": "more memory"})
    moves.know([f"tenant:{tenant.pk}"])
    operator.post(page_of_key(f"tenant:{tenant.pk}"), {"action": "drain", "reason": "it moves away"})

    listed = text_of(operator.get(CHANGES))
    assert "concurrency 2 → 7" in listed and "more memory" in listed
    assert f"tenant {tenant.slug}" in listed and "mode open → draining" in listed
    change = GateChange.objects.get(action="changed")
    page = reverse("admin:agentapp_gatechange_change", args=(change.pk,))
    assert '<th scope="row">concurrency</th><td>2</td><td>7</td>' in text_of(operator.get(page))
    for address in (f"{CHANGES}add/", page, reverse("admin:agentapp_gatechange_delete", args=(change.pk,))):
        assert operator.post(address, {"reason": "forged"}).status_code == 403
    assert not GateChange.objects.filter(reason="forged").exists()


def test_the_first_page_shows_what_is_stopped_to_who_runs_the_platform(operator: Client, member: Client) -> None:
    moves.know(["model:a", "model:b", "tool:mail"])
    assert "What is stopped" not in text_of(operator.get("/admin/"))
    operator.post(page_of_key("model:a"), {"action": "pause", "reason": "bills"})
    operator.post(page_of_key("tool:mail"), {"action": "drain", "reason": "a new server"})
    Limit.objects.filter(key="model:b").update(breaker="open", closed_until=clock.now() + timedelta(seconds=30))

    band = text_of(operator.get("/admin/")).split("What is stopped")[1].split("</section>")[0]

    for words in (
        "Model a",
        "paused",
        "bills",
        "Tool mail",
        "draining",
        "Model b",
        "breaker open",
        page_of_key("model:a"),
    ):
        assert words in band
    assert "What is stopped" not in text_of(member.get("/admin/"))


def test_others_see_and_change_nothing_of_it(
    make_staff: MakeStaff, tenant: Tenant, other_tenant: Tenant, operator: Client
) -> None:
    operator.post(ADD, FORM)
    gate, change = Gate.objects.get(), GateChange.objects.get()
    moves.know(["model:a", f"tenant:{tenant.pk}"])
    rights = [
        f"{verb}_{name}" for verb in ("view", "add", "change", "delete") for name in ("gate", "limit", "gatechange")
    ]
    client = Client()
    client.force_login(make_staff("climber", tenant, *rights, "change_tenant", "change_workflow"))

    addresses = [
        GATES, LIMITS, CHANGES, ADD, page_of(gate), page_of_key("model:a"), page_of_key(f"tenant:{tenant.pk}"),
        reverse("admin:agentapp_gatechange_change", args=(change.pk,)),
        reverse("admin:agentapp_gate_delete", args=(gate.pk,)),
    ]  # fmt: skip
    forms = (FORM, {"action": "delete"}, {"action": "pause", "reason": "mine", "_selected_action": "model:a"})
    for address in addresses:
        assert client.get(address).status_code == 403, address
        for form in forms:
            assert client.post(address, form).status_code == 403, address
    index = text_of(client.get("/admin/"))
    assert LIMITS not in index and GATES not in index and CHANGES not in index
    assert (Gate.objects.get().concurrency, GateChange.objects.count()) == (2, 1)
    assert not Limit.objects.exclude(mode="open").exists()


def test_scopes_of_the_platform_are_offered_and_accepted_from_superusers_alone(
    operator: Client, make_staff: MakeStaff, tenant: Tenant
) -> None:
    address = "/admin/agentapp/apikey/add/"
    client = Client()
    client.force_login(make_staff("keys", tenant, "add_apikey", "view_apikey", "change_workflow"))
    for scope in OPERATOR_SCOPES:
        form = {"tenant": tenant.slug, "name": "x", "scopes": ["tasks:read", scope]}
        assert f'value="{scope}"' in text_of(operator.get(address))
        assert f'value="{scope}"' not in text_of(client.get(address))
        assert client.post(address, form).status_code == 403
    assert not ApiKey.objects.exists()

    operator.post(address, {"tenant": tenant.slug, "name": "autoscaler", "scopes": ["gates:read"]})
    assert ApiKey.objects.get().scopes == ["gates:read"]


def test_a_change_shows_lists_and_truth_values_in_words() -> None:
    change = GateChange(before={"scopes": []}, after={"scopes": ["tasks:read", "tasks:write"], "sees_payloads": True})

    assert gates.differences(change) == [("scopes", "none", "tasks:read, tasks:write"), ("sees payloads", "", "yes")]
