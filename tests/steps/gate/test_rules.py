"""Each rule by itself, and what their verdicts make together."""

import math

import numpy as np
import pytest

from incumbent.stats.compare import paired
from incumbent.steps.gate import rules
from incumbent.steps.gate.rules import HOLD, NOT_ENOUGH, SHIP, Finding, Of


def line(verdict: str) -> Finding:
    return Finding("rule", verdict, "because")


@pytest.mark.parametrize(
    ("verdicts", "together"),
    [
        ([], HOLD),
        ([SHIP], SHIP),
        ([SHIP, NOT_ENOUGH], NOT_ENOUGH),
        ([SHIP, NOT_ENOUGH, HOLD], HOLD),
        (["shipp"], HOLD),
        ([SHIP, ""], HOLD),
    ],
)
def test_the_worst_line_decides_and_nothing_is_no_pass(verdicts: list[str], together: str) -> None:
    """No rule, or a word that nobody knows, never ships."""
    assert rules.verdict_of([line(verdict) for verdict in verdicts]) == together


def test_an_edge_passes_non_inferiority_and_not_superiority() -> None:
    """A model compared with itself is not worse by 0, and is not better by 0."""
    same = paired(np.ones(300), np.ones(300))
    assert rules.beyond(same, Of(), no_worse_than=0.0).verdict == SHIP
    assert rules.beyond(same, Of(), better_by=0.0).verdict == HOLD


def test_a_line_carries_its_numbers() -> None:
    """Gain, bound, threshold and rows, so that a report needs no sentence to be parsed."""
    g = np.random.default_rng(0)
    base = g.uniform(size=500)
    found = rules.beyond(paired(base, base - 0.1 + 0.1 * g.normal(size=500)), Of(slice="depot = north"), better_by=0.05)
    said = found.to_dict()
    assert (said["slice"], said["threshold"], said["n_rows"]) == ("depot = north", 0.05, 500)
    assert 0.05 < said["lower"] < said["gain"] and said["rule"] == "better_by (depot = north)"


def test_one_row_or_one_block_shows_nothing() -> None:
    """No width can be told from them, whatever they gain."""
    assert rules.beyond(paired([1.0], [0.0]), Of(), better_by=0.0).verdict == NOT_ENOUGH
    one_day = paired(np.ones(500), np.zeros(500), blocks=np.zeros(500))
    assert rules.beyond(one_day, Of(), better_by=0.0).verdict == NOT_ENOUGH


@pytest.mark.parametrize("reference", [0.0, 1e-300, -0.2])
def test_the_alarm_bears_any_reference(reference: float) -> None:
    """Zero, tiny and negative losses: a line, and no division by zero."""
    found = paired(np.full(300, reference), np.full(300, reference))
    alarm = rules.suspicious(found, 0.5, 0.0)
    assert alarm is not None and alarm.verdict == SHIP
    assert rules.suspicious(found, 0.0, 0.0) is None


def test_a_gain_from_a_reference_near_zero_rings_the_alarm() -> None:
    """1e-12 to 0 takes away everything that was left."""
    alarm = rules.suspicious(paired(np.full(300, 1e-12), np.zeros(300)), 0.5, 0.0)
    assert alarm is not None and alarm.verdict == HOLD and math.isfinite(alarm.gain or 0.0)
