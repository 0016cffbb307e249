"""What /metrics answers, read by the library's own parser."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from agentapp.api import exposition
from agentapp.services import metrics

Key = tuple[str, tuple[tuple[str, str], ...]]


def parsed(text: str) -> dict[Key, float]:
    """Every sample of an answer, by its name and labels."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


class Exposed:
    """The samples of this moment."""

    def __init__(self) -> None:
        self.text = exposition.text(metrics.collect()).decode()
        self.samples = parsed(self.text)

    def value(self, name: str, **labels: str) -> float:
        """`name_` is the label of that name."""
        return self.samples[name, tuple(sorted((label.rstrip("_"), value) for label, value in labels.items()))]

    def counts(self, name: str, *labels: str) -> dict[tuple[str, ...], float]:
        """All samples of a name, by the values of these labels."""
        found = [(dict(given), value) for (each, given), value in self.samples.items() if each == name]
        return {tuple(given[label] for label in labels): value for given, value in found}
