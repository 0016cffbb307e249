"""Figures as Prometheus' text format."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector, CollectorRegistry

from agentapp.observability.metrics import CATALOGUE, COUNTER, GAUGE, HISTOGRAM
from agentapp.services.metrics import Counts, Found, buckets

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4


class _Figures(Collector):
    def __init__(self, found: Found) -> None:
        self._found = found

    def collect(self) -> Iterable[Metric]:
        """Every metric of the catalogue, in its order; of those without a value, their names and what they mean."""
        for metric in CATALOGUE.values():
            about = (metric.name, f"{metric.words}.")
            gauge = GaugeMetricFamily(*about, labels=metric.labels)
            counter = CounterMetricFamily(*about, labels=metric.labels)
            histogram = HistogramMetricFamily(*about, labels=metric.labels)
            for labels, value in self._found.get(metric.name, {}).items():
                if isinstance(value, Counts):
                    histogram.add_metric(labels, buckets(value.counts), sum_value=value.total_s)
                elif metric.kind == COUNTER:
                    counter.add_metric(labels, value)
                else:
                    gauge.add_metric(labels, value)
            yield {GAUGE: gauge, COUNTER: counter, HISTOGRAM: histogram}[metric.kind]


def text(found: Found) -> bytes:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Figures(found))
    return generate_latest(registry)
