"""Every page of the admin answers, for the right people, under the content policy."""

from __future__ import annotations

import re

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse

from agentapp.models import Job
from tests.admin.conftest import Start

pytestmark = pytest.mark.django_db


def _lists() -> list[str]:
    models = [model for model in admin.site._registry if model._meta.app_label == "agentapp"]
    return [reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist") for model in models]


def test_every_list_and_every_record_answers(operator: Client, start: Start, dead: Job) -> None:
    start()
    for address in _lists():
        page = operator.get(address)
        assert page.status_code == 200, address
        records = set(re.findall(rf'href="({address}[^"?]+/change/)', page.content.decode()))
        for record in records:
            assert operator.get(record).status_code == 200, record
