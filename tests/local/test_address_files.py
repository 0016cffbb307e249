"""A file with the addresses of processes is a person's too: what they wrote in it stays."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.management.base import CommandError

from agentapp.management import addresses

MINE = """# of our pooler
export DATABASE_URL_WEB='postgresql://agentapp_web:one@pooler:6432/agentapp'
AGENTAPP_PORT=8000
DATABASE_URL_FLOWER=postgresql://agentapp_flower:two@db/agentapp
"""
WANTED = {
    "DATABASE_URL_WEB": "postgresql://agentapp_web:one@db/agentapp",
    "DATABASE_URL_FLOWER": "postgresql://agentapp_flower:two@db/agentapp",
    "DATABASE_URL_DISPATCHER": "postgresql://agentapp_dispatcher:three@db/agentapp",
}


def test_only_what_is_lacking_is_added_and_what_a_person_wrote_stays(tmp_path: Path) -> None:
    file = tmp_path / "roles.env"
    file.write_text(MINE)
    file.chmod(0o644)

    assert addresses.write(file, WANTED) == ["DATABASE_URL_WEB"]
    added = f"DATABASE_URL_DISPATCHER={WANTED['DATABASE_URL_DISPATCHER']}\n"
    assert file.read_text() == MINE + added
    assert file.stat().st_mode & 0o777 == 0o600
    assert addresses.read(file)["DATABASE_URL_WEB"].endswith("@pooler:6432/agentapp")
    assert "DATABASE_URL_WEB in " in addresses.stayed(file, ["DATABASE_URL_WEB"])

    assert addresses.write(file, WANTED, force=True) == []
    assert file.read_text().splitlines()[:3] == [
        "# of our pooler", f"export DATABASE_URL_WEB={WANTED['DATABASE_URL_WEB']}", "AGENTAPP_PORT=8000"
    ]  # fmt: skip


def test_a_password_that_is_to_hold_and_another_one_in_the_file_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "roles.env"
    file.write_text(MINE)
    changed = WANTED | {"DATABASE_URL_FLOWER": "postgresql://agentapp_flower:new@db/agentapp"}

    with pytest.raises(CommandError, match=r"another password in DATABASE_URL_FLOWER .*--force"):
        addresses.write(file, changed)
    assert file.read_text() == MINE
    addresses.write(file, changed, force=True)
    assert addresses.read(file) == {"AGENTAPP_PORT": "8000", **changed}


def test_a_password_in_another_spelling_is_the_same_and_one_in_no_address_is_not_quoted(tmp_path: Path) -> None:
    file = tmp_path / "roles.env"
    file.write_text(MINE.replace(":one@", ":%6fne@"))
    assert addresses.write(file, WANTED) == ["DATABASE_URL_WEB"]

    broken = "postgresql://agentapp_web:secret@[db"
    file.write_text(f"DATABASE_URL_WEB={broken}\n")
    for ask in (
        lambda: addresses.write(file, WANTED), lambda: addresses.write(file, WANTED, rotates=True),
        lambda: addresses.password(broken, "agentapp_web", variable="DATABASE_URL_WEB", noun="role"),
    ):  # fmt: skip
        with pytest.raises(CommandError, match="DATABASE_URL_WEB holds no address") as refused:
            ask()
        assert "secret" not in str(refused.value)


def test_a_new_password_changes_nothing_else_of_what_a_person_wrote(tmp_path: Path) -> None:
    file = tmp_path / "roles.env"
    file.write_text(f"{MINE}DATABASE_URL_DISPATCHER=postgresql://agentapp_dispatcher@db/agentapp\n")
    new = {variable: address.replace(":one@", ":new@") for variable, address in WANTED.items()}

    assert addresses.write(file, new, rotates=True) == ["DATABASE_URL_WEB"]
    added = f"DATABASE_URL_DISPATCHER={WANTED['DATABASE_URL_DISPATCHER']}\n"
    assert file.read_text() == MINE.replace(":one@", ":new@") + added
    addresses.write(file, new, rotates=True, force=True)
    assert addresses.read(file) == {"AGENTAPP_PORT": "8000", **new}
