"""The gate as OpenMetrics text: for the metrics reports of GitLab, or whatever scrapes files.

In: an Outcome. Out: text that ends in `# EOF`. Labels name the task, the metric, the rule and the slice, and no
version: GitLab compares series by name and labels, and a version in them would make each series new.
"""

from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import GaugeMetricFamily, Metric, StateSetMetricFamily
from prometheus_client.openmetrics.exposition import generate_latest
from prometheus_client.registry import Collector

from incumbent.ci.outcome import ALL_ROWS, WORDS, Case, Interval, Outcome, cases, intervals

_LEVELS = {
    "incumbent_gate_rows": ("n_rows", "Held-out rows that both were judged on."),
    "incumbent_gate_blocks": ("n_blocks", "Independent blocks that they fall into."),
    "incumbent_gate_rows_needed": ("rows_needed", "Held-out rows that would settle what is open."),
    "incumbent_gate_loss_incumbent": ("loss_reference", "Metric of the incumbent."),
    "incumbent_gate_loss_candidate": ("loss_candidate", "Metric of the candidate."),
}


def text(outcome: Outcome) -> str:
    """The exposition. What was not found has no line: there is no NaN in it."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collected(outcome))
    said: bytes = generate_latest(registry)  # type: ignore[no-untyped-call]  # prometheus_client has no type here
    return said.decode()


class _Collected(Collector):
    """What the registry asks for its metrics."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome

    def describe(self) -> Iterable[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        found = [_verdict, _rules, _gains, _thresholds, _levels]
        yield from (one for write in found for one in write(self.outcome) if one.samples)


def _verdict(outcome: Outcome) -> Iterator[Metric]:
    family = StateSetMetricFamily("incumbent_gate_verdict", "What the gate says.", labels=["task"])
    family.add_metric([outcome.task], _states(outcome.verdict))
    yield family


def _rules(outcome: Outcome) -> Iterator[Metric]:
    family = StateSetMetricFamily("incumbent_gate_rule", "What each rule says.", labels=["task", "rule", "slice"])
    for (rule, where), verdict in {(one.rule, one.slice): one.verdict for one in cases(outcome)}.items():
        family.add_metric([outcome.task, rule, where], _states(verdict))
    yield family


def _gains(outcome: Outcome) -> Iterator[Metric]:
    labels = ["task", "metric", "slice"]
    families = {
        "gain": GaugeMetricFamily("incumbent_gate_gain", "Gain over the incumbent; positive is better.", labels=labels),
        "lower": GaugeMetricFamily("incumbent_gate_gain_lower", "One-sided lower bound of the gain.", labels=labels),
        "upper": GaugeMetricFamily("incumbent_gate_gain_upper", "One-sided upper bound of the gain.", labels=labels),
    }
    for metric, where, found in _gained(outcome):
        for field, family in families.items():
            value = getattr(found, field, None)
            if value is not None:
                family.add_metric([outcome.task, metric, where], value)
    yield from families.values()


def _gained(outcome: Outcome) -> Iterator[tuple[str, str, Case | Interval]]:
    """What has a gain: metric, slice, and the gain; all rows first, then slices, then other metrics."""
    for one in intervals(outcome):
        yield outcome.metric, "" if one.label == ALL_ROWS else one.label, one
    for case in cases(outcome):
        if case.metric and case.gain is not None:
            yield case.metric, case.slice, case


def _thresholds(outcome: Outcome) -> Iterator[Metric]:
    labels = ["task", "rule", "slice"]
    family = GaugeMetricFamily("incumbent_gate_threshold", "What the gain is held against.", labels=labels)
    lines = {(one.rule, one.slice): one.threshold for one in cases(outcome) if one.threshold is not None}
    for (rule, where), value in lines.items():
        family.add_metric([outcome.task, rule, where], value)
    yield family


def _levels(outcome: Outcome) -> Iterator[Metric]:
    for name, (key, sentence) in _LEVELS.items():
        value = outcome.numbers.get(key)
        if isinstance(value, int | float):
            family = GaugeMetricFamily(name, sentence, labels=["task", "metric"])
            family.add_metric([outcome.task, outcome.metric], value)
            yield family


def _states(verdict: str) -> dict[str, bool]:
    return {word: word == verdict for word in WORDS}
