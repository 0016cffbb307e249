"""deploy/docker/compose.yaml: no Docker engine runs here, so it is held against the schema and the Procfile."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import check_jsonschema
import jsonschema
import pytest
import yaml

from agentapp.dispatch.brokers import choice
from config import env
from config.setting import SETTINGS
from tests.deploy.processes import ALIVE, DEPLOY, DEPLOYED, HEALTHY, PROCESSES, WORKERS, grace_s, not_its_own

TEXT = (DEPLOY / "docker" / "compose.yaml").read_text()
FILE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = FILE["services"]
OVERLAYS = {path.stem.partition(".")[2]: path.read_text() for path in DEPLOY.glob("docker/compose.*.yaml")}
ROLES = OVERLAYS.pop("roles")
SCHEMA = Path(check_jsonschema.__file__).parent / "builtin_schemas" / "vendor" / "compose-spec.json"
EXAMPLE = (DEPLOY / "docker" / "example.env").read_text()


def test_it_follows_the_specification() -> None:
    jsonschema.validate(FILE, json.loads(SCHEMA.read_text()))


def test_each_process_is_a_service() -> None:
    assert set(SERVICES) == {*DEPLOYED, "postgres", "valkey", "migrate"}
    for name in DEPLOYED:
        assert SERVICES[name]["command"] == [name]


@pytest.mark.parametrize("name", DEPLOYED)
def test_a_service_holds_no_credential_that_its_process_gives_away(name: str) -> None:
    assert not not_its_own(name, SERVICES[name]["environment"])


def test_every_variable_is_a_setting() -> None:
    known = {setting.name for setting in SETTINGS} | {env.PORT.name, "FLOWER_BASIC_AUTH"}
    given = {name for process in DEPLOYED for name in SERVICES[process]["environment"]}

    assert not given - known


def test_what_must_be_set_stands_in_the_example() -> None:
    asked = set(re.findall(r"\$\{([A-Z_]+):\?", TEXT))
    shown = set(re.findall(r"^([A-Z_]+)=", EXAMPLE, flags=re.MULTILINE))

    assert asked == {"POSTGRES_PASSWORD", "VALKEY_PASSWORD", "DJANGO_SECRET_KEY", "OPENAI_API_KEY"}
    assert asked <= shown
    assert shown <= set(re.findall(r"\$\{([A-Z_]+)", TEXT + "".join(OVERLAYS.values())))


def test_there_is_an_overlay_for_each_other_broker() -> None:
    assert set(OVERLAYS) == {module for module in choice.MODULES.values() if module != choice.DEFAULT}


@pytest.mark.parametrize("broker", OVERLAYS)
def test_an_overlay_gives_each_process_the_address_of_its_broker(broker: str) -> None:
    overlay = yaml.safe_load(OVERLAYS[broker])
    jsonschema.validate(overlay, json.loads(SCHEMA.read_text()))
    services = overlay["services"]

    assert set(services) - {broker} == {*DEPLOYED, "migrate"}
    for name in (*DEPLOYED, "migrate"):
        service, environment = services[name], services[name]["environment"]
        url = env.BROKER_URL.read({"BROKER_URL": filled(environment["BROKER_URL"])})
        can = choice.of(url).capabilities
        assert choice.MODULES[urlsplit(url).scheme] == broker
        assert name == "migrate" or not not_its_own(name, environment)
        # What the packages of an extra carry must be in the image.
        assert (service.get("build") == {"args": {"REQUIREMENTS": "extras"}}) is bool(can.extra)
        server = {broker} & (set(services) - set(DEPLOYED))
        assert set(service.get("depends_on", ())) == server
    asked = set(re.findall(r"\$\{([A-Z_]+):\?", OVERLAYS[broker]))
    assert asked <= set(re.findall(r"^([A-Z_]+)=", EXAMPLE, flags=re.MULTILINE))
    assert not any(service.get("ports") for service in services.values())


def test_an_overlay_gives_each_process_a_role_and_a_user_of_its_own() -> None:
    """By the names that its line of the Procfile takes, which are those that the commands write."""
    overlay = yaml.safe_load(ROLES)
    jsonschema.validate(overlay, json.loads(SCHEMA.read_text()))

    assert set(overlay["services"]) == set(DEPLOYED)
    for name in DEPLOYED:
        given = overlay["services"][name].pop("environment")
        own = {kind: re.search(rf"\b{kind}=\$\{{(\w+):-", PROCESSES[name]) for kind in ("DATABASE_URL", "REDIS_URL")}
        assert {kind: text.split(":?")[0] for kind, text in given.items()} == {
            kind: f"${{{found[1]}" for kind, found in own.items() if found
        }
        assert all(":?" in text for text in given.values())
        assert not overlay["services"][name]


def test_the_server_of_the_queues_keeps_its_users_over_a_restart(tmp_path: Path) -> None:
    script = SERVICES["valkey"]["command"][-1].replace("$$", "$").replace("/data", str(tmp_path))
    begun, kept = script.split("exec valkey-server")[0], tmp_path / "users.acl"
    for password in ("first", "second"):
        subprocess.run(["sh", "-c", begun], env=os.environ | {"VALKEY_PASSWORD": password}, check=False)
        assert kept.read_text().startswith(f"user default on >{password} ~* &* +@all\n")
        kept.write_text(kept.read_text() + "user agentapp_web on\n")
    assert kept.read_text().count("user agentapp_web") == 2
    assert kept.read_text().count("user default") == 1


def filled(text: str) -> str:
    """With the default of each variable, or a value."""
    return re.sub(r"\$\{[A-Z_]+(?::-([^}]*)|:\?[^}]*)?\}", lambda found: found[1] or "value", text)


def test_nothing_begins_before_the_database_is_migrated() -> None:
    for name in DEPLOYED:
        waits_for = SERVICES[name]["depends_on"]
        assert waits_for["migrate"]["condition"] == "service_completed_successfully"
        assert waits_for["valkey"]["condition"] == "service_healthy"
    assert SERVICES["migrate"]["depends_on"]["postgres"]["condition"] == "service_healthy"


def test_health_is_asked_of_the_process_itself() -> None:
    for name in [*WORKERS, "dispatcher"]:
        assert SERVICES[name]["healthcheck"]["test"] == ["CMD", ALIVE]
    assert SERVICES["migrate"]["healthcheck"] == {"disable": True}
    for name in ("web", "flower"):
        assert SERVICES[name]["healthcheck"]["test"] == ["CMD", HEALTHY]


def test_processes_have_time_to_end_and_no_more_rights_than_they_need() -> None:
    for name in DEPLOYED:
        service = SERVICES[name]
        assert int(service["stop_grace_period"].rstrip("s")) > grace_s(name)
        assert service["read_only"] and service["cap_drop"] == ["ALL"]
        assert "no-new-privileges:true" in service["security_opt"]


def test_nothing_is_open_to_others_unless_asked() -> None:
    for name, service in SERVICES.items():
        for port in service.get("ports", []):
            assert port.startswith("${BIND:-127.0.0.1}:"), name
