"""What a holdout can show, before there is a candidate."""

import numpy as np
import pytest

from incumbent.stats import compare
from incumbent.steps import gate


def test_a_plan_for_accuracy_is_the_textbook_one() -> None:
    """8 % discordance: 1 point needs about 4,950 rows, which is what the plan says from 1,000 of them."""
    u = np.random.default_rng(0).permutation(np.arange(1_000) / 1_000)
    old, new = (u < 0.04).astype(float), (u >= 0.96).astype(float)
    found = gate.plan("v1", compare.paired(old, new), [0.01])
    (needed,) = [rows for gain, rows in found.rows if gain == 0.01]
    assert needed == pytest.approx(compare.rows_needed_for_discordance(0.08, 0.01), rel=0.01)
    assert found.smallest == pytest.approx(0.01 * np.sqrt(needed / 1_000), rel=0.01)


def test_half_the_gain_needs_four_times_the_rows() -> None:
    g = np.random.default_rng(1)
    base = g.uniform(size=500)
    found = gate.plan("v1", compare.paired(base, base + g.normal(0.0, 0.1, 500)))
    rows = [n for _, n in found.rows]
    assert rows[1] == pytest.approx(4 * rows[0], rel=0.01) and rows[2] == pytest.approx(16 * rows[0], rel=0.01)


def test_nothing_to_plan_with_is_said_and_no_number() -> None:
    """One block, or two versions that do not differ: no smallest gain, no rows."""
    one_day = compare.paired(np.ones(50), np.arange(50) / 50, blocks=np.zeros(50))
    same = compare.paired(np.ones(50), np.ones(50))
    plans = [gate.plan("v1", found) for found in (one_day, same)]
    assert [(plan.smallest, plan.rows) for plan in plans] == [(None, ()), (None, ())]
