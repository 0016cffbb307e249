"""Fill a tenant's knowledge base from a folder of files. [I4]"""

from __future__ import annotations

from argparse import ArgumentParser
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from agentapp import checks
from agentapp.errors import InvalidInput, ModelRefused, NotFound, TransientError, Unavailable
from agentapp.models.document import COLLECTION
from agentapp.policies import counting, file_types
from agentapp.retrieval import embedding, titles
from agentapp.retrieval.parsing import process
from agentapp.retrieval.parsing.limits import Unreadable
from agentapp.services import documents, tenants
from agentapp.services.principals import Principal

SUFFIXES = tuple(file_types.SUFFIXES)
PLAIN = (".md", ".markdown", ".txt")
NAMED = "*.md, *.txt, *.html, *.pdf or *.docx"
OPERATOR = Principal(scopes=frozenset({"documents:write"}), tenant_ids=None)


@dataclass
class Loading:
    """One run of the command: what became of each file."""

    tenant_id: int
    prefix: str
    dry_run: bool
    collection: str = COLLECTION
    done: Counter[str] = field(default_factory=Counter)
    refused: list[str] = field(default_factory=list)

    def all_of(self, folder: Path) -> set[str]:
        """Load the files of a folder; return their sources.

        Raises:
            CommandError: a file cannot be read, or none can be loaded now.
        """
        sources = {path: self.prefix + path.relative_to(folder).as_posix() for path in files(folder)}
        for path, source in sources.items():
            try:
                self.done[self._load(path, source)] += 1
            except UnicodeDecodeError:
                self.refused.append(f"{source}: it is not UTF-8 text; save it as UTF-8.")
            except (InvalidInput, Unreadable) as error:
                self.refused.append(f"{source}: {error}")
            except (OSError, Unavailable, ModelRefused, TransientError) as error:
                raise CommandError(f"{source}: {error}") from error
        # As they are stored.
        return {source.strip() for source in sources.values()}

    def _load(self, path: Path, source: str) -> str:
        """Load one file and say what became of it: new, replaced or unchanged."""
        title, text = _read(path)
        given = {"source": source, "title": title, "text": text, "collection": self.collection}
        if self.dry_run:
            return documents.preview(OPERATOR, **given, tenant_id=self.tenant_id)
        document, stored = documents.load(OPERATOR, **given, tenant_id=self.tenant_id)
        if not stored:
            return "unchanged"
        return "new" if document.created_at == document.updated_at else "replaced"

    def prune(self, kept: set[str]) -> tuple[list[str], dict[str, str]]:
        """Remove the documents of this tree whose files are gone; return their sources, and why others stay."""
        tree = {"prefix": self.prefix, "collection": self.collection}
        gone = documents.gone(OPERATOR, kept, **tree, suffixes=SUFFIXES, tenant_id=self.tenant_id)
        return documents.delete_sources(OPERATOR, gone, tenant_id=self.tenant_id, dry_run=self.dry_run)


def _read(path: Path) -> tuple[str, str]:
    """Return title and text of a file. Raises OSError, UnicodeDecodeError, InvalidInput, Unreadable, TransientError."""
    if path.suffix.lower() in PLAIN:
        text = path.read_text(encoding="utf-8-sig")
        return titles.of(text, source=path.name), text
    data = path.read_bytes()
    parsed = process.parse(data, file_type=file_types.decide(data, name=path.name))
    return titles.of(parsed.text, own=parsed.title, source=path.name), parsed.text


class Command(BaseCommand):
    requires_system_checks = checks.OF_COMMANDS
    help = f"Load every {NAMED} below a folder; what is loaded already and unchanged is left alone."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("folder", type=Path, metavar="DIR")
        parser.add_argument("--tenant", default="demo", help="slug of the tenant (default: %(default)s)")
        parser.add_argument(
            "--prefix", default="", metavar="TEXT", help="what each source begins with; for the second folder and more"
        )
        parser.add_argument(
            "--prune", action="store_true",
            help="then remove the documents whose file is no longer there: all of the collection that begin with "
            "the prefix, also those that were loaded from elsewhere",
        )  # fmt: skip
        parser.add_argument(
            "--collection",
            default=COLLECTION,
            metavar="NAME",
            help="which documents they are put with, and pruned from (default: %(default)s)",
        )
        parser.add_argument("--dry-run", action="store_true", help="only say what would be loaded and removed")

    def handle(
        self, *, folder: Path, tenant: str, prefix: str = "", prune: bool = False, dry_run: bool = False,
        collection: str = COLLECTION, **options: Any,
    ) -> None:  # fmt: skip
        try:
            loading = Loading(tenants.get(tenant).pk, prefix, dry_run, collection)
        except NotFound as error:
            raise CommandError(str(error)) from error
        kept = loading.all_of(folder)
        if dry_run:
            self.stdout.write("Nothing is changed. Without --dry-run:")
        self._report(loading.done, tenant=tenant)
        problems = ["Not loaded:", *loading.refused] if loading.refused else []
        if prune:
            removed, held = loading.prune(kept)
            self._report_removed(removed, dry_run=dry_run)
            if held:
                when = "To be kept" if dry_run else "Not removed"
                problems += [f"{when}, because of a legal hold. Run the command again when it is released:"]
                problems += [f"{source}: {why}." for source, why in held.items()]
        if problems:
            raise CommandError("\n".join(problems))

    def _report(self, done: Counter[str], *, tenant: str) -> None:
        counts = ", ".join(f"{done[word]} {word}" for word in ("new", "replaced", "unchanged"))
        model = embedding.model_name()
        how = (
            f"Search by words and by meaning ({model})."
            if model
            else ("Search by words alone: no embedding model is configured (AGENTAPP_EMBEDDING_URL).")
        )
        self.stdout.write(f"{tenant}: {counts}. {how}")

    def _report_removed(self, removed: list[str], *, dry_run: bool) -> None:
        verb = "To be removed" if dry_run else "Removed"
        self.stdout.write(f"{verb}: {counting.count(len(removed), 'document')}.")
        for source in removed:
            self.stdout.write(f"  {source}")


def files(folder: Path) -> list[Path]:
    """Return the files below a folder, sorted; hidden files and folders are left out.

    Raises:
        CommandError: there is no such folder, or no text in it.
    """
    if not folder.is_dir():
        raise CommandError(f"{folder} is not a folder. Name the folder that holds your files.")
    found = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in SUFFIXES and path.is_file()]
    seen = [path for path in found if not any(part.startswith(".") for part in path.relative_to(folder).parts)]
    if not seen:
        raise CommandError(f"There is no {NAMED} below {folder}.")
    return seen
