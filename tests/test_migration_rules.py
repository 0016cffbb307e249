"""The rules of migrations that a machine can check: two releases use one database while a deploy lasts.

Each is shown to fail.
"""

from __future__ import annotations

import ast
import re
import subprocess

import pytest
from django.db import migrations, models
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation

from tests.acceptance.releases import PREVIOUS
from tests.structure import columns
from tests.structure.source import ROOT, Module, imports

APP = "agentapp"
FOLDER = ROOT / APP / "migrations"
NOTED = "agentapp_noted"


def history() -> list[migrations.Migration]:
    """Our migrations in the order in which they are made."""
    loader = MigrationLoader(None)
    plan = loader.graph.forwards_plan(loader.graph.leaf_nodes(APP)[0])
    return [loader.graph.nodes[node] for node in plan if node[0] == APP]


def migration(name: str, *operations: Operation) -> migrations.Migration:
    kind = type("Migration", (migrations.Migration,), {"operations": list(operations)})
    made: migrations.Migration = kind(name, APP)
    return made


def test_the_release_before_a_migration_can_insert_after_it() -> None:
    found = [str(each) for each in columns.check(history())]

    assert not found, "\n" + "\n".join(found)


FIRST = migration(
    "0001_first",
    migrations.CreateModel(
        "Noted",
        [
            ("id", models.BigAutoField(primary_key=True)), ("text", models.TextField()),
            ("size", models.IntegerField(db_default=0)), ("by", models.TextField(null=True)),
        ],
    ),
)  # fmt: skip


@pytest.mark.parametrize(
    "operation",
    [
        migrations.AddField("noted", "more", models.TextField()),
        # Django takes it away again when the column is there.
        migrations.AddField("noted", "more", models.TextField(default="")),
        migrations.AddField("noted", "of", models.ForeignKey("agentapp.Noted", models.CASCADE)),
        migrations.AlterField("noted", "by", models.TextField()),
        migrations.AlterField("noted", "size", models.IntegerField()),
        migrations.RenameField("noted", "text", "words"),
        migrations.RunSQL(f"ALTER TABLE {NOTED} ADD COLUMN more text NOT NULL"),
        migrations.RunSQL([(f"ALTER TABLE {NOTED} ADD COLUMN a int DEFAULT 0, ADD COLUMN b int NOT NULL", None)]),
        migrations.SeparateDatabaseAndState([migrations.RunSQL(f"ALTER TABLE {NOTED} ALTER COLUMN by SET NOT NULL")]),
    ],
    ids=lambda operation: operation.describe(),
)
def test_a_column_that_the_release_before_would_have_to_name_is_reported(operation: Operation) -> None:
    assert len(list(columns.check([FIRST, migration("0002_next", operation)]))) == 1


@pytest.mark.parametrize(
    "operation",
    [
        migrations.AddField("noted", "more", models.TextField(db_default="")),
        migrations.AddField("noted", "more", models.TextField(null=True)),
        migrations.CreateModel("Other", [("id", models.BigAutoField(primary_key=True)), ("text", models.TextField())]),
        migrations.RemoveField("noted", "by"),
        migrations.RunSQL(f"ALTER TABLE {NOTED} ADD COLUMN more text NOT NULL DEFAULT '', ADD COLUMN b int"),
    ],
    ids=lambda operation: operation.describe(),
)
def test_what_the_release_before_need_not_know_is_not_reported(operation: Operation) -> None:
    assert not list(columns.check([FIRST, migration("0002_next", operation)]))


def released() -> dict[str, str]:
    """The migrations of the previous release, by their path, and what they run."""
    if not (ROOT / ".git").exists():
        pytest.skip("the previous release is in the history of a git checkout, and this is none")

    def git(*command: str) -> str:
        found = subprocess.run(["git", *command], cwd=ROOT, capture_output=True, text=True, check=False)
        assert found.returncode == 0, f"The history does not reach back to {PREVIOUS}: {found.stderr}"
        return found.stdout

    names = git("ls-tree", "-r", "--name-only", PREVIOUS, "--", FOLDER.relative_to(ROOT).as_posix()).split()
    return {name: git("show", f"{PREVIOUS}:{name}") for name in names}


def what_it_does(path: str, text: str) -> str:
    """The text of SQL; of Python the code without the docstring, which may say what is true today."""
    if not path.endswith(".py"):
        return text
    tree = ast.parse(text)
    return ast.dump(ast.Module(tree.body[1:] if ast.get_docstring(tree) is not None else tree.body, []))


def test_a_migration_does_what_it_did_when_it_was_released() -> None:
    """A database that has made it would never get what is changed in it later."""
    before = released()
    now = {path: (ROOT / path).read_text() for path in before if (ROOT / path).exists()}

    assert f"{APP}/migrations/0001_tables.py" in before
    changed = [
        path for path, text in before.items() if what_it_does(path, text) != what_it_does(path, now.get(path, ""))
    ]
    assert not changed, f"Put it into a migration of its own: {changed}"


def test_a_change_of_what_a_migration_does_is_seen() -> None:
    path, text = "0002.py", '"""As it was."""\nOPERATIONS = [1]\n'

    assert what_it_does(path, text) == what_it_does(path, '"""As it is."""\nOPERATIONS = [1]\n')
    assert what_it_does(path, text) != what_it_does(path, '"""As it was."""\nOPERATIONS = [2]\n')
    assert what_it_does("moves.sql", "SELECT 1") != what_it_does("moves.sql", "SELECT 2")


def of_today(module: Module) -> list[str]:
    """What a migration imports of the code of moves, or reads outside of its own folder."""
    imported = [name for _, name in imports(module) if name.startswith("agentapp.lifecycle")]
    texts = [node.value for node in module.nodes if isinstance(node, ast.Constant)]
    return imported + [text for text in texts if isinstance(text, str) and re.fullmatch(r".*(\.\.|/).*\.sql", text)]


def test_a_migration_runs_the_frozen_copy_and_not_the_sources_of_today() -> None:
    for path in sorted(FOLDER.glob("*.py")):
        assert not of_today(Module.of(path.relative_to(ROOT).as_posix(), path.read_text())), path.name


@pytest.mark.parametrize(
    "text",
    [
        "from agentapp.lifecycle import function_set",
        "from agentapp.lifecycle.function_set import text",
        "SOURCES = ROOT.glob('lifecycle/sql/*.sql')",
    ],
)
def test_a_migration_that_runs_the_sources_of_today_is_reported(text: str) -> None:
    assert of_today(Module.of("agentapp/migrations/0009_more.py", text))
