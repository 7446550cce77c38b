"""OpenMetrics text is read back by prometheus_client's own parser of that format."""

from itertools import pairwise

import pytest
from made import ALL, ERROR, NASTY, SHIP, SLICED, outcome, rule
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from incumbent.ci import openmetrics

Samples = dict[tuple[str, ...], float]


def read(text: str) -> dict[str, Samples]:
    """Values by metric and the values of its labels."""
    return {
        family.name: {tuple(sample.labels.values()): sample.value for sample in family.samples}
        for family in text_string_to_metric_families(text)
    }


@pytest.mark.parametrize("name", ALL)
def test_every_outcome_can_be_read_back(name: str) -> None:
    """Exactly one state of the verdict is set, no value is missing, and no metric is empty."""
    text = openmetrics.text(ALL[name])
    found = read(text)
    states = {labels[0]: value for labels, value in found["incumbent_gate_verdict"].items()}
    assert [word for word, value in states.items() if value] == [ALL[name].verdict]
    assert all(found.values()) and text.endswith("# EOF\n") and "NaN" not in text


def test_gains_bounds_and_thresholds_are_there_by_slice() -> None:
    found = read(openmetrics.text(SLICED))
    where = {labels[:2]: value for labels, value in found["incumbent_gate_gain"].items()}
    own = "absolute_error"
    assert where == {(own, ""): 0.0975, (own, "season = winter"): -0.05, (own, "season = summer"): 0.05,
                     ("squared_error", ""): 3.0}  # fmt: skip
    assert len(found["incumbent_gate_gain_lower"]) == 3  # one slice has no bound
    assert sorted(found["incumbent_gate_threshold"].values()) == [-1.0, -0.01, -0.01, 0.02]
    assert list(found["incumbent_gate_rows"].values()) == [365.0]


def test_an_error_has_a_verdict_and_no_numbers() -> None:
    assert set(read(openmetrics.text(ERROR))) == {"incumbent_gate_verdict", "incumbent_gate_rule"}


def test_no_version_is_in_a_label() -> None:
    """GitLab compares two reports by name and labels: with a version in them, each series would be new."""
    assert "v7" not in openmetrics.text(SHIP) and "v1" not in openmetrics.text(SHIP)


def test_rules_of_one_name_are_one_series() -> None:
    """A series that comes twice is no valid text."""
    twice = outcome("hold", [rule("better_by", "ship"), rule("better_by", "hold"), rule(NASTY, "hold", slice='"\\\n')])
    lines = [line for line in openmetrics.text(twice).splitlines() if not line.startswith("#")]
    names = sorted(line.rpartition(" ")[0] for line in lines)
    assert all(a != b for a, b in pairwise(names))
    assert len(read(openmetrics.text(twice))["incumbent_gate_rule"]) == 10
