"""Fill a tenant's knowledge base from a folder of Markdown and text files. [I4]"""

from __future__ import annotations

from argparse import ArgumentParser
from collections import Counter
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from agentapp.errors import InvalidInput, ModelRefused, NotFound, Unavailable
from agentapp.retrieval import chunking, embedding
from agentapp.services import documents, tenants
from agentapp.services.principals import Principal

SUFFIXES = (".md", ".txt")


class Command(BaseCommand):
    help = "Load every *.md and *.txt below a folder; what is loaded already and unchanged is left alone."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("folder", type=Path, metavar="DIR")
        parser.add_argument("--tenant", default="demo", help="slug of the tenant (default: %(default)s)")

    def handle(self, *, folder: Path, tenant: str, **options: Any) -> None:
        try:
            tenant_id = tenants.get(tenant).pk
        except NotFound as error:
            raise CommandError(str(error)) from error
        done: Counter[str] = Counter()
        refused: list[str] = []
        for path in files(folder):
            name = path.relative_to(folder).as_posix()
            try:
                done[_load(path, source=name, tenant_id=tenant_id)] += 1
            except UnicodeDecodeError:
                refused.append(f"{name}: it is not UTF-8 text; save it as UTF-8.")
            except InvalidInput as error:
                refused.append(f"{name}: {error}")
            except (OSError, Unavailable, ModelRefused) as error:
                raise CommandError(f"{name}: {error}") from error
        self._report(done, tenant=tenant, refused=refused)

    def _report(self, done: Counter[str], *, tenant: str, refused: list[str]) -> None:
        counts = ", ".join(f"{done[word]} {word}" for word in ("new", "replaced", "unchanged"))
        model = embedding.model_name()
        how = (
            f"Search by words and by meaning ({model})."
            if model
            else ("Search by words alone: no embedding model is configured (AGENTAPP_EMBEDDING_URL).")
        )
        self.stdout.write(f"{tenant}: {counts}. {how}")
        if refused:
            raise CommandError("Not loaded:\n" + "\n".join(refused))


def _load(path: Path, *, source: str, tenant_id: int) -> str:
    """Load one file and say what became of it: new, replaced or unchanged."""
    text = path.read_text(encoding="utf-8-sig")
    title = (chunking.first_heading(text) or path.stem)[: documents.LONGEST_TITLE]
    operator = Principal(scopes=frozenset({"documents:write"}), tenant_ids=None)
    document, stored = documents.load(operator, source=source, title=title, text=text, tenant_id=tenant_id)
    if not stored:
        return "unchanged"
    return "new" if document.created_at == document.updated_at else "replaced"


def files(folder: Path) -> list[Path]:
    """Return the texts below a folder, sorted; hidden files and folders are left out.

    Raises:
        CommandError: there is no such folder, or no text in it.
    """
    if not folder.is_dir():
        raise CommandError(f"{folder} is not a folder. Name the folder that holds your *.md and *.txt files.")
    found = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in SUFFIXES and path.is_file()]
    seen = [path for path in found if not any(part.startswith(".") for part in path.relative_to(folder).parts)]
    if not seen:
        raise CommandError(f"There is no *.md or *.txt below {folder}.")
    return seen
