"""Requests that schemathesis makes of the OpenAPI document: no answer is a 5xx, none is one that is not documented."""

from __future__ import annotations

import ipaddress
import json
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import pytest
from pytest_django import Settings

from agentapp.models import Tenant
from agentapp.policies.permissions import API_SCOPES, OPERATOR_SCOPES
from agentapp.services import api_keys
from tests.acceptance import scale
from tests.api import operations
from tests.api.conftest import Api
from tests.api.live import environment, serving

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.acceptance,
    pytest.mark.timeout(660),
]
CONFIGURATION = Path(__file__).with_name("schemathesis.toml")
EXAMPLES = scale.sized(short=5, long=1_000)
# A stream goes on while its task does, and a key that is rotated is soon closed: they have tests of their own.
NOT_ASKED = ("stream_task", "stream_tasks", "rotate_own_key", "open_task_socket")
LEAST_REQUESTS = 3_000
LONGEST_S = 600
PHASES = {"examples", "coverage", "fuzzing", "stateful"}


def test_no_generated_request_breaks_the_contract(
    tenant: Tenant, other_tenant: Tenant, settings: Settings, tmp_path: Path
) -> None:
    settings.AGENTAPP_WEBHOOK_ALLOWED_NETWORKS = [ipaddress.ip_network("127.0.0.0/8")]
    token = api_keys.create(tenant=tenant, name="generated", scopes=[*API_SCOPES, *OPERATOR_SCOPES])[1]
    operations.records(Api(token), tenant)
    away = {
        "AGENTAPP_DB_POOL_MAX": "4",
        "AGENTAPP_EMBEDDING_URL": "",
        "AGENTAPP_EMBEDDING_MODEL": "",
        "AGENTAPP_WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8",
    }
    with serving(environment() | away) as web:
        # The document is made at its first request, for which schemathesis waits ten seconds alone.
        with urlopen(f"{web.url}/schema", timeout=LONGEST_S) as answer:
            assert answer.status == 200
        report = tmp_path / "report.json"
        done = run(f"{web.url}/schema", token, report)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(report.read_text())
    assert (found["failures"], found["errors"]) == ([], [])
    assert {name for name, phase in found["phases"].items() if phase["status"] == "success"} == PHASES
    assert found["test_cases"]["generated"] >= LEAST_REQUESTS
    # All others, but the one that reads the document itself.
    assert found["operations"]["tested"] == len(operations.documented()) - len(NOT_ASKED) - 1


def run(schema: str, token: str, report: Path) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIGURATION), "run", schema,
        "--header", f"Authorization: Bearer {token}", "--max-examples", str(EXAMPLES), "--seed", str(scale.SEED),
        "--generation-deterministic", "--no-shrink", "--warnings", "off", "--no-color",
        "--report-json-path", str(report), *(part for name in NOT_ASKED for part in ("--exclude-operation-id", name)),
    ]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, timeout=LONGEST_S, cwd=report.parent)
