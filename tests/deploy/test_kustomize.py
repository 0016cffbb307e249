"""The sets of deploy/kubernetes, and the overlay that docs/howto/deploy.md shows, as kubectl builds them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import homes, programs
from tests.deploy.processes import DEPLOY, DEPLOYED, WORKERS
from tests.structure.markdown import page
from tests.structure.source import ROOT

FOLDER = DEPLOY / "kubernetes"
SETS = sorted(path.parent for path in FOLDER.rglob("kustomization.yaml"))
COMPONENTS = [each for each in SETS if "kind: Component" in (each / "kustomization.yaml").read_text()]
REQUIRED = "AGENTAPP_REQUIRE_KUBECTL"
PAGE = page(ROOT / "docs" / "howto" / "deploy.md")
# The sets of the page, under the names that their first lines say.
SHOWN = {block.split("\n")[0].removeprefix("# "): block for block in PAGE.blocks("yaml")}
OVERLAY, MIGRATE = "my-overlay/kustomization.yaml", "my-overlay/migrate/kustomization.yaml"
IMAGE = "registry.mine.example/agentapp:0.1.0"


def kubectl(*arguments: str | Path) -> str:
    command = [programs.needed("kubectl", REQUIRED, "kubernetes-client"), *arguments]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def built(folder: Path) -> list[dict[str, Any]]:
    """What `kubectl apply -k` would send. The kubectl of Debian 12 knows no components, so it counts as missing."""
    if "Kustomize Version" not in kubectl("version", "--client"):
        assert os.environ.get(REQUIRED) != "1", f"{REQUIRED}=1, and this kubectl is older than 1.24"
        pytest.skip("this kubectl is older than 1.24")
    return list(yaml.safe_load_all(kubectl("kustomize", folder)))


@pytest.fixture(scope="module")
def checkout() -> Iterator[Path]:
    """A folder with the sets of the page beside `deploy`, with all components in place of the one that it names."""
    folder = homes.make()
    shutil.copytree(FOLDER, folder / "deploy" / "kubernetes")
    names = ", ".join(f"../deploy/kubernetes/{each.relative_to(FOLDER)}" for each in COMPONENTS)
    for name, block in SHOWN.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(re.sub(r"^components: .*$", f"components: [{names}]", block, flags=re.MULTILINE))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def overlay(checkout: Path) -> list[dict[str, Any]]:
    return built((checkout / OVERLAY).parent)


def images(each: dict[str, Any]) -> set[str]:
    return set(re.findall(r"'image': '([^']*)'", str(each)))


def test_kubectl_puts_all_of_the_documented_sets_into_one_namespace_with_one_image(
    checkout: Path, overlay: list[dict[str, Any]]
) -> None:
    for each in overlay + built((checkout / MIGRATE).parent):
        assert each["kind"] == "Namespace" or each["metadata"].get("namespace") == "agentapp", each["metadata"]
        assert images(each) <= {IMAGE}, each["metadata"]
        assert "example.org" not in str(each), each["metadata"]


def test_the_documented_overlay_says_where_the_backlog_is_asked_for(overlay: list[dict[str, Any]]) -> None:
    scaled = [each["spec"] for each in overlay if each["kind"] == "ScaledObject"]

    assert len(scaled) == len(WORKERS)
    urls = [trigger["metadata"]["url"] for spec in scaled for trigger in spec["triggers"]]
    assert set(urls) == {"https://agents.mine.example/queues"}


def test_with_a_bucket_no_process_waits_for_a_volume(overlay: list[dict[str, Any]]) -> None:
    deployments = [each for each in overlay if each["kind"] == "Deployment"]
    pods = {each["metadata"]["name"]: each["spec"]["template"]["spec"] for each in deployments}

    assert "PersistentVolumeClaim" not in {each["kind"] for each in overlay}
    assert not [name for name, spec in pods.items() if "persistentVolumeClaim" in str(spec["volumes"])]
    told = {name for name, spec in pods.items() if "agentapp-files" in str(spec["containers"][0]["envFrom"])}
    assert told == {name.replace("_", "-") for name in DEPLOYED} - {"flower"}


def test_with_roles_each_process_is_given_its_own_addresses_last(overlay: list[dict[str, Any]]) -> None:
    """Of two secrets with the same name in them the later counts."""
    given = {
        each["metadata"]["name"]: [source.get("secretRef", {}).get("name") for source in sources]
        for each in overlay
        if each["kind"] == "Deployment"
        for sources in [each["spec"]["template"]["spec"]["containers"][0]["envFrom"]]
    }

    assert set(given) == {name.replace("_", "-") for name in DEPLOYED}
    for name, secrets in given.items():
        assert secrets.index(f"agentapp-{name}") > secrets.index("agentapp-servers")


@pytest.mark.parametrize("folder", SETS, ids=lambda folder: folder.name)
def test_each_set_says_the_namespace_and_the_image_itself(folder: Path) -> None:
    """Asked where no kubectl is too: what a set says is not handed on to components, nor from one to another."""
    said = yaml.safe_load((folder / "kustomization.yaml").read_text())
    runs = any("image: agentapp" in (folder / name).read_text() for name in said.get("resources", []))

    assert said["namespace"] == "agentapp"
    named = [{"name": "agentapp", "newName": "registry.example.org/agentapp", "newTag": "0.1.0"}]
    assert said.get("images", []) == (named if runs else [])


def test_the_page_names_every_component_and_folders_that_exist() -> None:
    assert set(SHOWN) == {OVERLAY, MIGRATE}
    for name, block in SHOWN.items():
        said = yaml.safe_load(block)
        assert [image["name"] for image in said["images"]] == ["registry.example.org/agentapp"]
        for other in (*said["resources"], *said.get("components", ())):
            assert (ROOT / Path(name).parent / other).resolve() in SETS
    for each in COMPONENTS:
        assert f"`{each.relative_to(FOLDER)}`" in PAGE.text or f"kubernetes/{each.relative_to(FOLDER)}]`" in PAGE.text
