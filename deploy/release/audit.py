"""Look at the packages that are deployed: `make audit`.

Writes build/licences.md (what `docs/licences.md` holds) and build/sbom.cdx.json (CycloneDX), and asks for known faults.
Ends with 1 for a known fault, a licence that is not listed here, or a page of licences that is out of date.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build"
LOCKS = ROOT / "deploy" / "requirements"
TOOLS = ROOT / ".venv-release" / "bin"
PAGE = ROOT / "docs" / "licences.md"
# The stack of `make up` is deployed packages and servers for one machine. Extras are in the SBOM, and audited.
INSTALLED = "local.txt"
DEPLOYED = "extras.txt"
# Parts of names: a licence passes when one of them is in it. None forbids use in a product whose own code is closed.
ALLOWED = ("MIT", "BSD", "Apache", "Mozilla", "MPL", "LGPL", "PSF", "Python Software Foundation", "Unlicense", "ISC")
_PINNED = re.compile(r"^([A-Za-z0-9._-]+)==", re.MULTILINE)


def main() -> int:
    BUILD.mkdir(exist_ok=True)
    complaints = [*licences(), *known_faults()]
    write_sbom()
    for line in complaints:
        print(line, file=sys.stderr)
    return 1 if complaints else 0


def licences() -> list[str]:
    """Write the page of licences, and return what is wrong about it or about a licence."""
    listed = _PINNED.findall((LOCKS / INSTALLED).read_text())
    python = str(ROOT / ".venv" / "bin" / "python")
    ran = _run("pip-licenses", "--python", python, "--with-system", "--from", "mixed", "--format", "json",
               "--packages", *listed)  # fmt: skip
    rows = sorted(json.loads(ran.stdout), key=lambda row: row["Name"].lower())
    page = _page([(row["Name"], _short(row["License"])) for row in rows])
    (BUILD / "licences.md").write_text(page)
    complaints = [
        f"{row['Name']} has the licence {_short(row['License'])!r}: is it one that a product may use? Then ALLOWED of "
        f"{Path(__file__).name} names it."
        for row in rows if not any(part in _short(row["License"]) for part in ALLOWED)
    ]  # fmt: skip
    if not PAGE.exists() or PAGE.read_text() != page:
        complaints.append(f"{PAGE.relative_to(ROOT)} is out of date: copy build/licences.md over it.")
    return complaints


def known_faults() -> list[str]:
    """Ask for faults of the locked packages that somebody has told the world about, and return them."""
    ran = _run("pip-audit", "--requirement", str(LOCKS / DEPLOYED), "--require-hashes", "--disable-pip",
               "--format", "json", "--progress-spinner", "off", may_fail=True)  # fmt: skip
    return faults_in(ran.stdout, ran.stderr)


def faults_in(answer: str, errors: str = "") -> list[str]:
    """Return the faults that pip-audit's JSON names. Where nobody could be asked, say so: no package is at fault."""
    try:
        asked = json.loads(answer)["dependencies"]
    except ValueError:
        asked = []
    answered = [each for each in asked if "vulns" in each]
    if not answered:
        why = asked[0].get("skip_reason", "") if asked else errors.strip()[-300:]
        print(f"NOT AUDITED: no source of advisories answers here: {why}", file=sys.stderr)
        return []
    print(f"Asked for known faults of {len(answered)} packages of {len(asked)}.")
    return [
        f"{each['name']} {each['version']} has a known fault: {fault['id']}, fixed in {fault['fix_versions'] or 'none'}"
        for each in answered for fault in each["vulns"]
    ]  # fmt: skip


def write_sbom() -> None:
    target = BUILD / "sbom.cdx.json"
    _run("cyclonedx-py", "requirements", str(LOCKS / DEPLOYED), "--pyproject", str(ROOT / "pyproject.toml"),
         "--output-reproducible", "--validate", "--output-file", str(target))  # fmt: skip
    parts = json.loads(target.read_text())["components"]
    print(f"{target.relative_to(ROOT)} lists {len(parts)} packages with their hashes.")


def _page(rows: list[tuple[str, str]]) -> str:
    lines = [
        "# Licences",
        "",
        "agentapp is under the MIT licence. `make up` installs these packages beside it; `make audit` checks this.",
        "",
        "| Package | Licence |",
        "| --- | --- |",
        *(f"| {name} | {licence} |" for name, licence in rows),
        "",
    ]
    return "\n".join(lines)


def _short(licence: str) -> str:
    """The name of a licence; some packages give its text in place of it."""
    first = licence.strip().splitlines()[0].strip() if licence.strip() else "unknown"
    return first if len(first) <= 80 else first[:77] + "..."


def _run(tool: str, *arguments: str, may_fail: bool = False) -> subprocess.CompletedProcess[str]:
    ran = subprocess.run([TOOLS / tool, *arguments], capture_output=True, text=True, check=False)
    if ran.returncode and not may_fail:
        sys.exit(f"{tool} failed:\n{ran.stderr}")
    return ran


if __name__ == "__main__":
    sys.exit(main())
