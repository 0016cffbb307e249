"""Keys are paused and resumed on the operations page, by who may do it on their own pages. [E6] [G5]"""

from __future__ import annotations

import re

import pytest
from django.test import Client

from agentapp.lifecycle import gates
from agentapp.models import GateChange, Limit, Tenant
from tests.admin.test_operations import measured, text_of
from tests.admin.test_operations import noon as noon

pytestmark = pytest.mark.django_db


def test_what_the_page_names_is_paused_and_resumed_on_it(operator: Client, tenant: Tenant) -> None:
    gates.know(["model:gpt", f"tenant:{tenant.pk}", "job_type:draft"])
    measured(1, "model:gpt", completed=1)
    assert "Resume" not in text_of(operator)
    for scope, name, action in (
        ("queue", "send", "pause"), ("model", "gpt", "drain"), ("tenant", tenant.slug, "pause"),
        ("job_type", "draft", "pause"),
    ):  # fmt: skip
        asked = {"scope": scope, "name": name, "action": action, "reason": f"a test of {scope}"}
        answer = operator.post("/admin/switch/?period=24h", asked)
        assert (answer.status_code, answer["Location"]) == (302, "/admin/?period=24h")

    page = text_of(operator, "?period=24h")
    for words in ("Queue send. Paused", "Model gpt. Draining", "a test of tenant", "Resume job type draft"):
        assert words in page
    assert page.count("Resume model gpt") == 2
    again = operator.post("/admin/switch/", {"scope": "model", "name": "gpt", "action": "resume"}, follow=True)
    assert "Model gpt. Resumed" in again.content.decode()
    assert Limit.objects.get(key="model:gpt").mode == "open"
    done = GateChange.objects.order_by("id").values_list("actor", "action", "target", "reason")
    assert done[0] == ("user:operator", "paused", "queue:send", "a test of queue")
    assert [row[1:3] for row in done][-1] == ("resumed", "model:gpt")


@pytest.mark.parametrize(
    ("changed", "status", "says"),
    [
        ({"reason": " "}, 422, "Say why"),
        ({"action": "explode"}, 422, "Choose one of the buttons"),
        ({"action": "resume"}, 409, "is open already"),
        ({"name": "a name typed wrongly"}, 404, "any job has ever used"),
        ({"scope": "queue", "name": "nothing"}, 404, "There is no queue"),
    ],
)
def test_a_switch_that_is_refused_keeps_what_was_typed(
    operator: Client, changed: dict[str, str], status: int, says: str
) -> None:
    gates.know(["tool:mail"])
    asked = {"scope": "tool", "name": "mail", "action": "pause", "reason": "a new server"} | changed
    answer = operator.post("/admin/switch/", asked)

    page = answer.content.decode()
    (opened,) = re.findall(r'<details class="switch" open>.*?</details>', page, re.DOTALL)
    assert answer.status_code == status and says in page
    assert f'value="{asked["name"]}"' in opened and f'value="{asked["reason"]}"' in opened
    assert not GateChange.objects.exists() and not Limit.objects.exclude(key="tool:mail").exists()
    assert operator.get("/admin/switch/").status_code == 302
