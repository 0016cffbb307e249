"""One word per idea, in code and prose; docs/glossary.md is the dictionary."""

from __future__ import annotations

import re

import pytest
from django.apps import apps

from agentapp import states
from agentapp.observability import events
from agentapp.policies import permissions
from tests.structure import markdown, words
from tests.structure.source import ROOT, Module, modules

GLOSSARY = markdown.page(ROOT / "docs" / "glossary.md")
CONTRIBUTING = markdown.page(ROOT / "CONTRIBUTING.md")
FORBIDDEN = CONTRIBUTING.rows("Words that we do not use")
SYNONYMS = {wrong.replace(" ", "_"): right for wrong, right in FORBIDDEN}
# Names that fit everything, and so say nothing.
EMPTY_NAMES = frozenset({"util", "utils", "helper", "helpers", "common", "misc", "manager", "managers", "processor"})
CATALOGUE = frozenset(events.CATALOGUE)
# Words with an everyday meaning too: the harm that a wrong answer can do, a help desk.
EVERYDAY = {"harm", "desk"}
SHOWN = ("docs/openapi.json", "templates/**/*.html", "agentapp/static/**/*.js", "Makefile")
PAGES = ("templates/**/*.html", "agentapp/static/**/*.js")

SECTIONS = {
    "States of a task": states.WorkflowState,
    "States of a job": states.JobState,
    "States of an approval": states.ApprovalState,
    "States of an effect": states.EffectState,
    "States of a webhook delivery": states.DeliveryState,
}


def test_the_table_of_words_is_read() -> None:
    assert SYNONYMS["dlq"] == "dead letter"
    assert len(SYNONYMS) > 10


def test_names_in_the_code_use_the_glossary() -> None:
    found = [
        str(violation)
        for module in modules("agentapp", "tasks", "config", "tests", "bench")
        for violation in words.check_names(module, synonyms=SYNONYMS, empty_names=EMPTY_NAMES)
    ]

    assert not found, "\n" + "\n".join(found)


def test_the_documentation_uses_the_glossary() -> None:
    texts = {page.path: page.text for page in markdown.pages()}
    for wrong, right in FORBIDDEN:
        texts[CONTRIBUTING.path] = texts[CONTRIBUTING.path].replace(f"| {wrong} | {right} |", "")

    found = [
        str(violation) for path, text in texts.items() for violation in words.check_prose(path, text, synonyms=SYNONYMS)
    ]

    assert not found, "\n" + "\n".join(found)


def test_comments_messages_and_pages_use_the_glossary() -> None:
    """What a reader of the code, of a log or of the admin sees, beyond names: SQL and templates too."""
    places = ("agentapp/**/*.py", "agentapp/lifecycle/sql/*.sql", "tasks/**/*.py", "config/**/*.py", "bench/**/*.py")
    synonyms = {wrong: right for wrong, right in SYNONYMS.items() if wrong not in EVERYDAY}
    files = [path for place in (*places, "tests/**/*.py", *PAGES) for path in ROOT.glob(place)]
    found = [
        str(violation)
        for path in files
        if path.name != "test_vocabulary.py"
        for violation in words.check_prose(str(path.relative_to(ROOT)), path.read_text(), synonyms=synonyms)
    ]

    assert len(files) > 500
    assert not found, "\n" + "\n".join(found)


def test_no_text_for_readers_names_the_number_of_a_requirement() -> None:
    texts = {page.path: page.text for page in markdown.pages()}
    texts |= {str(path.relative_to(ROOT)): path.read_text() for place in SHOWN for path in ROOT.glob(place)}
    texts |= {module.path: words.printed(module) for module in modules("agentapp", "tasks", "config", "bench")}
    found = [str(violation) for path, text in texts.items() for violation in words.check_numbers(path, text)]

    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize(("heading", "names"), SECTIONS.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_every_state_is_explained(heading: str, names: type[states.WorkflowState]) -> None:
    section = GLOSSARY.text.split(f"\n## {heading}\n")[1].split("\n## ")[0]

    assert re.findall(r"^- `(\w+)`:", section, re.MULTILINE) == names.values


def test_every_noun_and_worker_class_is_explained() -> None:
    nouns = {
        words.snake_case(model.__name__).replace("_", " ") for model in apps.get_app_config("agentapp").get_models()
    }
    # An API key is what the API page is about.
    explained = set(re.findall(r"\*\*([a-z -]+)\*\*", GLOSSARY.text)) | {"api key"}

    assert nouns <= explained
    assert all(f"`{name}`" in GLOSSARY.text for name in permissions.WORKER_CLASS_SCOPES)


def test_outcomes_and_stage_kinds_are_explained() -> None:
    wanted = [*states.AttemptOutcome.values, *states.StageKind.values]

    assert [value for value in wanted if f"`{value}`" not in GLOSSARY.text] == []


def test_every_log_event_stands_in_the_catalogue() -> None:
    found = [
        str(violation)
        for module in modules("agentapp", "tasks")
        for violation in words.check_events(module, catalogue=CATALOGUE)
    ]

    assert not found, "\n" + "\n".join(found)


def test_every_event_of_the_catalogue_is_emitted_somewhere() -> None:
    texts = "\n".join(
        module.text for module in modules("agentapp") if module.path != "agentapp/observability/events.py"
    )

    assert [name for name in CATALOGUE if f'"{name}"' not in texts] == []


@pytest.mark.parametrize(
    ("path", "text", "times"),
    [
        ("agentapp/services/utils.py", "", 1),
        ("agentapp/services/queues.py", "class QueueManager:\n    pass\n", 1),
        ("agentapp/services/jobs.py", "def requeue(job):\n    dlq_items = []\n", 2),
        ("agentapp/models/step.py", "class StepRun:\n    pass\n", 1),
        ("agentapp/models/step.py", "def load(job_instances, *, organization):\n    pass\n", 2),
        ("agentapp/services/jobs.py", "def replay(job):\n    managers_of = remanaged = 1\n", 0),
    ],
)
def test_a_wrong_name_is_reported(path: str, text: str, times: int) -> None:
    found = list(words.check_names(Module.of(path, text), synonyms=SYNONYMS, empty_names=EMPTY_NAMES))

    assert len(found) == times, found


@pytest.mark.parametrize(
    "text", ["It lands in the DLQ.", "A retry-queue holds it.", "Two step runs.", "Side effects!", "Whoever waits."]
)
def test_a_wrong_word_in_prose_is_reported(text: str) -> None:
    assert len(list(words.check_prose("docs/page.md", text, synonyms=SYNONYMS))) == 1


@pytest.mark.parametrize("text", ['"""Measured. [H7]"""\nhelp = __doc__\n', '"""One."""\nhelp = "Measured. [H7]"\n'])
def test_a_number_that_is_printed_is_reported(text: str) -> None:
    assert len(list(words.check_numbers("bench/new.py", words.printed(Module.of("bench/new.py", text))))) == 1


@pytest.mark.parametrize("call", ['events.emit("job.vanished")', "events.emit(name)"])
def test_an_event_that_nobody_can_find_is_reported(call: str) -> None:
    module = Module.of("agentapp/runtime/new.py", call)

    assert len(list(words.check_events(module, catalogue=CATALOGUE))) == 1
