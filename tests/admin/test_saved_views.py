"""Filters that a person keeps under a name, as links above a list. [G5]"""

from __future__ import annotations

import pytest
from django.test import Client

from agentapp.models import SavedView
from agentapp.services import saved_views

pytestmark = pytest.mark.django_db
TASKS, CHANGE = "/admin/agentapp/workflow/", "/admin/views/"


def test_filters_are_kept_shown_replaced_and_deleted_for_one_person(member: Client, reader: Client) -> None:
    asked = {"page": "workflow", "name": "Mine <b>", "query": "state__exact=failed&p=3"}
    assert "Keep these filters" in member.get(f"{TASKS}?state__exact=failed").content.decode()
    for _ in range(2):
        assert member.post(CHANGE, asked)["Location"] == f"{TASKS}?state__exact=failed"

    page = member.get(TASKS).content.decode()
    assert page.count('href="?state__exact=failed" dir="auto">Mine &lt;b&gt;</a>') == 1
    assert "Mine" not in reader.get(TASKS).content.decode()
    assert "Mine" not in member.get("/admin/agentapp/approval/").content.decode()
    view = SavedView.objects.get()
    reader.post(CHANGE, {"page": "workflow", "forget": str(view.pk)})
    assert SavedView.objects.count() == 1
    member.post(CHANGE, {"page": "workflow", "forget": str(view.pk)})
    assert not SavedView.objects.exists()


@pytest.mark.parametrize(
    "asked",
    [{"name": " "}, {"name": "x" * 101}, {"query": ""}, {"query": "p=2"}, {"query": "q=" + "x" * 2_000}],
)
def test_what_cannot_be_kept_is_refused(member: Client, asked: dict[str, str]) -> None:
    answer = member.post(CHANGE, {"page": "workflow", "name": "a", "query": "q=x"} | asked)

    assert answer.status_code == 302 and answer["Location"].startswith(TASKS) and not SavedView.objects.exists()


def test_views_are_bounded_and_of_known_lists(member: Client) -> None:
    for number in range(saved_views.MOST + 1):
        member.post(CHANGE, {"page": "deadletter", "name": str(number), "query": "type=x"})

    assert SavedView.objects.count() == saved_views.MOST
    assert member.post(CHANGE, {"page": "//evil.test", "name": "a", "query": "q=x"}).status_code == 404
    assert member.post(CHANGE, {"page": "workflow", "forget": "x"}).status_code == 302
    assert member.get(CHANGE).status_code == 405
    assert Client().post(CHANGE).status_code == 302
