"""One word per idea: names in code and words in prose that the glossary has a better word for."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import PurePosixPath

from tests.structure.source import Module, Violation, called, receiver

RULE = "words"
_REQUIREMENT = re.compile(r"\[[A-Z]\d{1,2}\]")


def check_names(module: Module, *, synonyms: Mapping[str, str], empty_names: frozenset[str]) -> Iterator[Violation]:
    """Report identifiers that hold a forbidden word, and files or classes whose name says nothing.

    `synonyms` maps a word in snake_case to the word of the glossary.
    """
    stem = PurePosixPath(module.path).stem
    if stem in empty_names:
        yield module.breaks(RULE, module.tree, f"{stem}.py says nothing about what is in it. Name it by its subject.")
    # To parse a file takes much longer than to see that none of these words is in it.
    plain = module.text.casefold().replace("_", "")
    if not any(word.replace("_", "") in plain for word in (*synonyms, *empty_names)):
        return
    for node, name in _defined(module.tree):
        snake = snake_case(name)
        if isinstance(node, ast.ClassDef) and snake.rpartition("_")[2] in empty_names:
            yield module.breaks(RULE, node, f"{name}: say what it is, not that it manages or helps.")
        for wrong, right in synonyms.items():
            if wrong in snake and re.search(rf"(^|_){wrong}(_|s?$)", snake):
                yield module.breaks(RULE, node, f"{name}: the word is {right}.")


def check_prose(path: str, text: str, *, synonyms: Mapping[str, str]) -> Iterator[Violation]:
    """Report forbidden words in a text, upper or lower case, with a blank or a hyphen between them."""
    plain = text.casefold().replace("-", " ")
    near = {wrong: right for wrong, right in synonyms.items() if wrong.replace("_", " ") in plain}
    if not near:
        return
    for number, line in enumerate(text.splitlines(), start=1):
        for wrong, right in near.items():
            if re.search(rf"\b{wrong.replace('_', '[ -]')}s?\b", line, re.IGNORECASE):
                yield Violation(RULE, path, number, f"{wrong.replace('_', ' ')}: the word is {right}.")


def check_numbers(path: str, text: str) -> Iterator[Violation]:
    """Report numbers of requirements, such as H7 in brackets: readers do not have the list."""
    for number, line in enumerate(text.splitlines(), start=1):
        if found := _REQUIREMENT.search(line):
            yield Violation(RULE, path, number, f"{found[0]} means nothing to a reader: say it, or leave it out.")


def printed(module: Module) -> str:
    """The texts of a module that it may show: its strings, and its docstring where that is the text of --help."""
    shows_docstring = any(isinstance(node, ast.Name) and node.id == "__doc__" for node in module.nodes)
    texts = [ast.get_docstring(module.tree) or ""] if shows_docstring else []
    described = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    kept = {id(node.body[0].value) for node in module.nodes
            if isinstance(node, described) and node.body and isinstance(node.body[0], ast.Expr)}  # fmt: skip
    texts += [
        node.value for node in module.nodes
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in kept
    ]  # fmt: skip
    return "\n".join(texts)


def check_events(module: Module, *, catalogue: frozenset[str]) -> Iterator[Violation]:
    """Report `events.emit` of a name that does not stand in the catalogue, or that is not written out."""
    for node in module.nodes:
        if not isinstance(node, ast.Call) or called(node) != "emit" or receiver(node) != "events":
            continue
        name = node.args[0] if node.args else None
        if not isinstance(name, ast.Constant):
            yield module.breaks(RULE, node, "Write the event's name out, so that it can be found.")
        elif name.value not in catalogue:
            yield module.breaks(RULE, node, f"{name.value!r} does not stand in observability.events.CATALOGUE.")


@cache
def snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _defined(tree: ast.Module) -> Iterator[tuple[ast.AST, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node, node.name
        elif isinstance(node, ast.arg):
            yield node, node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node, node.id
