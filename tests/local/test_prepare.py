"""The database is brought up to date before anything is started."""

from __future__ import annotations

import os
import subprocess
import sys
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from django.contrib.auth.models import Permission

from agentapp.local import prepare


def test_a_database_of_an_earlier_development_version_is_refused_with_a_sentence() -> None:
    server, name = os.environ["DATABASE_URL"], f"earlier_{os.getpid()}"
    with psycopg.connect(server, autocommit=True) as session:
        session.execute(f"CREATE DATABASE {name}")
        try:
            address = urlunsplit(urlsplit(server)._replace(path=f"/{name}"))
            with psycopg.connect(address, autocommit=True) as earlier:
                earlier.execute("CREATE TABLE agentapp_workflow (id uuid)")
            command = [sys.executable, "-m", "agentapp.local.prepare"]
            env = {**os.environ, "DATABASE_URL": address}
            ran = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        finally:
            session.execute(f"DROP DATABASE {name} WITH (FORCE)")

    assert (ran.returncode, ran.stderr.strip().count("\n")) == (1, 0), ran.stderr
    assert "Nothing is released yet: delete it with `make reset`" in ran.stderr


@pytest.mark.django_db
def test_what_follows_migrations_is_made_up_for_where_a_start_was_killed_before_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Permission.objects.filter(codename="change_approval").delete()

    prepare.bring_up_to_date()

    assert Permission.objects.filter(codename="change_approval").exists()
    # Nothing was to be migrated, and `migrate` would have said so.
    assert not capsys.readouterr().out
