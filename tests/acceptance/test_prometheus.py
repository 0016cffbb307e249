"""A real Prometheus scrapes a real stack and evaluates the rules that ship. [H1] [H7]"""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from agentapp.local import ports
from tests import homes
from tests.acceptance.deployment import ENVIRONMENT, Deployment, until
from tests.observability import promtool

pytestmark = pytest.mark.acceptance

METRICS_TOKEN = ENVIRONMENT["AGENTAPP_METRICS_TOKEN"]
QUESTION = {"subject": "Invoices", "body": "Where do I find my invoices?", "customer_email": "reader@sample.test"}


@contextmanager
def prometheus(target: str, folder: Path) -> Iterator[httpx2.Client]:
    """Run one that scrapes the target each second, and yield a client of its API."""
    (folder / "token").write_text(METRICS_TOKEN)
    configuration = yaml.safe_load((promtool.RULES.parent / "prometheus.yml").read_text())
    configuration["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    configuration["rule_files"] = [str(promtool.RULES)]
    scrape = configuration["scrape_configs"][0]
    scrape["authorization"] = {"credentials_file": str(folder / "token")}
    scrape["static_configs"] = [{"targets": [target]}]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration))
    port = ports.free(1)[0]
    command = [
        promtool.program("prometheus"), f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}", f"--web.listen-address=127.0.0.1:{port}",
    ]  # fmt: skip
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as client:
            yield client
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def asked(client: httpx2.Client, path: str, **query: str) -> Any:
    """What it answers, None while it does not."""
    try:
        answer = client.get(f"/api/v1/{path}", params=query)
    except httpx2.TransportError:
        return None
    return answer.json()["data"] if answer.status_code == 200 else None


def values(client: httpx2.Client, query: str) -> list[float]:
    found = asked(client, "query", query=query)
    return [float(sample["value"][1]) for sample in found["result"]] if found else []


def test_prometheus_reads_a_running_stack_and_evaluates_every_rule(deployment: Deployment) -> None:
    promtool.program("prometheus")
    task = deployment.submit("support_reply", **QUESTION)
    deployment.reach(task, "awaiting_approval")
    assert deployment.web.get("/metrics").status_code == 401
    answer = deployment.web.get("/metrics", headers={"Authorization": f"Bearer {METRICS_TOKEN}"})
    checked = promtool.check("check", "metrics", given=answer.text)
    assert (answer.status_code, checked.returncode, checked.stdout, checked.stderr) == (200, 0, "", "")
    assert task not in answer.text

    with prometheus(deployment.about["url"].removeprefix("http://"), homes.make()) as client:
        until(lambda: values(client, "agentapp_up") == [1.0], "Prometheus has scraped the stack")
        until(lambda: values(client, "agentapp_approvals_pending >= 1"), "it knows of the approval")
        until(lambda: values(client, "agentapp:queue_lag:ratio >= 0"), "a rule has recorded what it computes")
        until(lambda: _healths(client) == {"ok"}, "every rule was evaluated")


def _healths(client: httpx2.Client) -> set[str]:
    found = asked(client, "rules")
    return {rule["health"] for group in found["groups"] for rule in group["rules"]} if found else set()
