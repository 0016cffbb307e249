"""What `make audit` says of known faults and licences."""

from __future__ import annotations

import json
import re
import runpy
from importlib import metadata

import pytest

from tests.structure.source import ROOT

AUDIT = runpy.run_path(str(ROOT / "deploy" / "release" / "audit.py"), run_name="audit")


def answer(*packages: dict[str, object]) -> str:
    return json.dumps({"dependencies": [{"name": "sample", "version": "1.0", **each} for each in packages]})


def test_a_known_fault_is_told_with_what_mends_it() -> None:
    known = {"id": "SAMPLE-1", "fix_versions": ["1.1"]}
    assert AUDIT["faults_in"](answer({"vulns": []}, {"vulns": [known]})) == [
        "sample 1.0 has a known fault: SAMPLE-1, fixed in ['1.1']"
    ]


@pytest.mark.parametrize("said", [answer({"skip_reason": "not found"}), "", "no network"])
def test_where_nobody_can_be_asked_it_says_so(said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert AUDIT["faults_in"](said) == []
    assert "NOT AUDITED" in capsys.readouterr().err


def test_the_page_of_licences_names_what_is_installed() -> None:
    listed = AUDIT["_PINNED"].findall((ROOT / "deploy" / "requirements" / "local.txt").read_text())
    named = re.findall(r"^\| ([\w.-]+) \| .", (ROOT / "docs" / "licences.md").read_text(), re.MULTILINE)
    installed = {re.sub(r"[-_.]+", "-", each.name).lower() for each in metadata.distributions()}
    # What is locked for other platforms and Pythons is not there.
    assert {re.sub(r"[-_.]+", "-", name).lower() for name in named} - {"package", "-"} == set(listed) & installed
