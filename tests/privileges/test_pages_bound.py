"""The pages for people as the role of the web process, which is bound to tenants: they show what they showed. [H4]"""

from __future__ import annotations

import re
from contextlib import nullcontext

import pytest
from django.db import transaction
from django.test import Client
from django.urls import reverse

from agentapp.services import retention_preview
from tests.admin.role_table import A, S
from tests.admin.test_role_matrix import World, address, models
from tests.admin.test_role_matrix import standing as standing
from tests.admin.test_role_matrix import world as world
from tests.privileges import roles

pytestmark = pytest.mark.django_db


def pages(world: World) -> list[str]:
    of_models = [address(name, "changelist") for name in models()]
    of_records = [address(name, "change", id) for name, id in world.ids.items()]
    console = [reverse("console"), reverse("console_task", args=[world.known["task"]]), reverse("admin:index")]
    return [*of_models, *of_records, *console]


def shown(client: Client, page: str, *, is_bound: bool) -> tuple[int, str]:
    """The status and the words of a page, without what differs each time."""
    with transaction.atomic(), roles.session_of("web") if is_bound else nullcontext():
        answer = client.get(page)
    words = answer.content.decode()
    words = re.sub(r'name="csrfmiddlewaretoken" value="\w+"|name="request" value="[\w-]+"', "", words)
    return answer.status_code, re.sub(r"\d+(\.\d+)? (s|ms|seconds?|minutes?)\b", "", words)


def test_each_page_shows_what_it_showed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    # What is not counted in time would differ.
    monkeypatch.setattr(retention_preview, "COUNT_S", 60.0)
    roles.make_bound()
    different = []
    for page in pages(world):
        as_owner = shown(world.people[A], page, is_bound=False)
        # What is for superusers alone.
        client = world.people[S if as_owner[0] == 403 else A]
        as_owner = shown(client, page, is_bound=False) if as_owner[0] == 403 else as_owner
        different += [] if shown(client, page, is_bound=True) == as_owner else [page]
    assert not different
