"""deploy/kubernetes: no cluster runs here, so objects are held against the schemas of Kubernetes and the Procfile."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import kubernetes_validate
import pytest
import yaml

from agentapp import registry
from tests.deploy.processes import ALIVE, DEPLOY, DEPLOYED, PROCESSES, WORKERS, grace_s, not_its_own
from tests.deploy.processes import documents as read
from tests.deploy.test_kustomize import FOLDER, SETS

VERSION = "1.33"


def objects() -> Iterator[dict[str, Any]]:
    for path in sorted(FOLDER.rglob("*.yaml")):
        if path.name != "kustomization.yaml":
            yield from read(str(path.relative_to(DEPLOY)))


OBJECTS = list(objects())
SECRETS = {each["metadata"]["name"]: each["stringData"] for each in OBJECTS if each["kind"] == "Secret"}
DEPLOYMENTS = {each["metadata"]["name"]: each for each in OBJECTS if each["kind"] == "Deployment"}


def pod(name: str) -> dict[str, Any]:
    found: dict[str, Any] = DEPLOYMENTS[name]["spec"]["template"]["spec"]
    return found


def container(name: str) -> dict[str, Any]:
    (found,) = pod(name)["containers"]
    return dict(found)


def named(each: dict[str, Any]) -> str:
    return f"{each['kind']}-{each['metadata']['name']}"


def is_of_keda(each: dict[str, Any]) -> bool:
    return str(each["apiVersion"]).startswith("keda.sh/")


@pytest.mark.parametrize("each", [each for each in OBJECTS if not is_of_keda(each)], ids=named)
def test_each_object_follows_the_schema(each: dict[str, Any]) -> None:
    kubernetes_validate.validate(each, VERSION, strict=True)


def test_an_object_with_a_wrong_field_is_seen() -> None:
    wrong = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": {"ports": [{"prot": 80}]}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSION, strict=True)


@pytest.mark.parametrize("folder", SETS, ids=lambda folder: folder.name)
def test_a_set_names_every_file_beside_it(folder) -> None:
    named = yaml.safe_load((folder / "kustomization.yaml").read_text()).get("resources", [])
    beside = {path.name for path in folder.glob("*.yaml")} - {"kustomization.yaml", "secrets.example.yaml"}

    assert set(named) == beside


def test_each_process_is_a_deployment() -> None:
    assert sorted(DEPLOYMENTS) == sorted(name.replace("_", "-") for name in DEPLOYED)
    for name in DEPLOYED:
        assert container(name.replace("_", "-"))["args"] == [name]


@pytest.mark.parametrize("name", DEPLOYED)
def test_a_pod_holds_no_credential_that_its_process_gives_away(name: str) -> None:
    for source in container(name.replace("_", "-"))["envFrom"]:
        if secret := source.get("secretRef"):
            assert not not_its_own(name, SECRETS[secret["name"]]), secret["name"]


def test_secrets_with_names_of_their_own_go_to_the_process_that_keeps_them() -> None:
    holders = {
        "agentapp-tools": ("TOOL_SECRET_", "worker_send"),
        "agentapp-tool-servers": ("MCP_KEY_", "worker_webhooks"),
    }
    for secret, (prefix, process) in holders.items():
        holding = {name for name in DEPLOYMENTS if secret in str(container(name)["envFrom"])}
        assert holding == {process.replace("_", "-")}
        assert prefix not in PROCESSES[process]


def test_the_web_says_that_mails_are_sent_where_the_sender_has_a_server() -> None:
    """And nowhere else: one secret, which may be missing, decides for both."""
    (told,) = container("web")["env"]
    config = next(each["data"] for each in OBJECTS if each["kind"] == "ConfigMap")

    assert "AGENTAPP_MAIL_IS_SENT" not in config
    where = {"name": "agentapp-mail", "key": "AGENTAPP_MAIL_IS_SENT", "optional": True}
    assert told == {"name": "AGENTAPP_MAIL_IS_SENT", "valueFrom": {"secretKeyRef": where}}
    assert SECRETS["agentapp-mail"].keys() == {"AGENTAPP_MAIL_IS_SENT", "EMAIL_URL"}
    assert {"secretRef": {"name": "agentapp-mail", "optional": True}} in container("worker-send")["envFrom"]


@pytest.mark.parametrize("name", sorted(DEPLOYMENTS))
def test_pods_are_locked_down_and_have_time_to_end(name: str) -> None:
    spec, process = pod(name), container(name)

    assert spec["securityContext"]["runAsNonRoot"] and spec["securityContext"]["runAsUser"] == 10001
    assert spec["automountServiceAccountToken"] is False
    assert process["securityContext"]["readOnlyRootFilesystem"]
    assert process["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert spec.get("terminationGracePeriodSeconds", 30) > grace_s(name.replace("-", "_"))
    assert {"requests", "limits"} <= set(process["resources"])


def test_probes_ask_the_process_itself() -> None:
    for name in [*WORKERS, "dispatcher"]:
        process = container(name.replace("_", "-"))
        assert process["livenessProbe"]["exec"]["command"] == [ALIVE]
        assert process["startupProbe"]["exec"]["command"] == [ALIVE]
    web = container("web")
    assert web["readinessProbe"]["httpGet"]["path"] == "/readyz"
    # Postgres away is no reason to restart: what is asked then needs none.
    assert web["livenessProbe"]["httpGet"]["path"] == "/healthz"


def test_disruptions_leave_one_of_what_has_several() -> None:
    budgets = {each["metadata"]["name"] for each in OBJECTS if each["kind"] == "PodDisruptionBudget"}

    assert budgets == {name for name in DEPLOYMENTS if name != "flower"}


def test_pods_reach_what_they_need_and_nothing_else() -> None:
    policies = {each["metadata"]["name"]: each["spec"] for each in OBJECTS if each["kind"] == "NetworkPolicy"}
    assert policies["nothing"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    for policy in ("web", "models", "send", "webhooks", "broker-sqs", "bucket"):
        for rule in policies[policy]["egress"]:
            assert "169.254.0.0/16" in rule["to"][0]["ipBlock"]["except"], policy
    ports = [each["port"] for each in policies["broker-rabbitmq"]["egress"][0]["ports"]]
    assert ports == [5671, 5672]
    workers = {name.replace("_", "-") for name in WORKERS}
    assert who("models", policies) | who("send", policies) | who("webhooks", policies) == workers
    # Who reads, writes and deletes files, and who makes spans: their servers stand elsewhere, so these are components.
    assert who("bucket", policies) == {name for name in DEPLOYMENTS if "agentapp-files" in str(pod(name)["volumes"])}
    assert policies["bucket"]["egress"][0]["ports"] == [{"port": 443, "protocol": "TCP"}]
    assert who("traces", policies) == workers | {"web", "dispatcher"}
    assert policies["traces"]["egress"][0]["ports"] == [{"port": 4318, "protocol": "TCP"}]
    for name in DEPLOYMENTS:
        assert all(matches(policies[each], name) for each in ("broker", "broker-rabbitmq", "broker-sqs"))
        assert matches(policies["postgres"], name) is (name != "flower")


def who(policy: str, policies: dict[str, Any]) -> set[str]:
    return {name for name in DEPLOYMENTS if matches(policies[policy], name)}


def matches(policy: dict[str, Any], name: str) -> bool:
    labels = DEPLOYMENTS[name]["spec"]["template"]["metadata"]["labels"]
    selector = policy["podSelector"]
    return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items()) and all(
        labels.get(each["key"]) in each["values"] for each in selector.get("matchExpressions", [])
    )


def test_each_queue_is_scaled_by_its_backlog() -> None:
    specs = [each["spec"] for each in OBJECTS if each["kind"] == "ScaledObject"]
    scaled = {spec["scaleTargetRef"]["name"]: spec for spec in specs}

    assert set(scaled) == {name.replace("_", "-") for name in WORKERS}
    assert sorted(queue for spec in specs for queue in queues(spec)) == sorted(registry.worker_classes)
    for name, spec in scaled.items():
        assert queues(spec) == PROCESSES[name.replace("-", "_")].partition("-Q ")[2].split()[0].split(",")
        assert DEPLOYMENTS[name]["spec"]["replicas"] == spec["minReplicaCount"]


def queues(spec: dict[str, Any]) -> list[str]:
    """The queues whose backlog the object follows; the location is written in the language of GJSON."""
    return [trigger["metadata"]["valueLocation"].split('"')[1] for trigger in spec["triggers"]]
