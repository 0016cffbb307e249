"""A statement that takes too long is ended by Postgres, and its client is told to come back."""

from __future__ import annotations

import psycopg
import pytest
from django.db import connection

from tests.api.conftest import Api, problem_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("broker")]


def test_a_statement_over_its_limit_is_a_503(api: Api, settings) -> None:
    settings.AGENTAPP_STATEMENT_TIMEOUT_S = 0.3
    connection.close()
    with psycopg.connect(**connection.get_connection_params()) as other:
        other.execute("LOCK TABLE agentapp_workflow")

        problem = problem_of(api.get("/tasks"), 503)
    settings.AGENTAPP_STATEMENT_TIMEOUT_S = 0.0
    connection.close()

    assert problem["status"] == 503
    assert api.get("/tasks").status_code == 200
