"""Which rows train and which are held out: never a label from the future."""

import numpy as np
import pytest

from incumbent.errors import ConfigError, NotEnoughData
from incumbent.records import DAY
from incumbent.steps import gate


def test_a_split_by_time_never_looks_ahead() -> None:
    """No training row's label became known at or after the first held-out row; unknown labels are nowhere."""
    generator = np.random.default_rng(4)
    times = np.sort(generator.integers(0, 100 * DAY, 1_000))
    known = times + generator.integers(0, 3 * DAY, 1_000)
    known[::50] = gate.NEVER
    train, held = gate.split(times, known, share=0.2)
    assert known[train].max() < times[held].min() and times[train].max() < times[held].min()
    assert not train[::50].any() and not held[::50].any() and not (train & held).any()
    assert 180 <= held.sum() <= 200


def test_a_split_by_days_holds_out_whole_local_days() -> None:
    """The last two days of New York, which touch three dates of UTC, are held out whole."""
    hour = DAY // 24
    times = np.arange(0, 10 * 24) * hour + 4 * hour  # from midnight in New York in summer time
    _, held = gate.split(times + 5_000 * DAY, days=2, zone="America/New_York")
    assert held.sum() == 48 and held[-48:].all()


def test_a_split_without_times_is_seeded() -> None:
    """The same seed draws the same rows, each on one side."""
    first, second = (gate.split(None, n_rows=100, share=0.25, seed=9) for _ in range(2))
    assert (first[1] == second[1]).all() and first[1].sum() == 25 and (first[0] ^ first[1]).all()


def test_a_split_that_leaves_nothing_says_so() -> None:
    """One day only, no rows, or a share that is none: errors that name what lacks."""
    with pytest.raises(NotEnoughData, match="0 rows to train on"):
        gate.split(np.arange(10), days=3)
    with pytest.raises(NotEnoughData, match="no row to split"):
        gate.split([])
    with pytest.raises(ConfigError, match=r"gate\.holdout"):
        gate.split(np.arange(10), share=1.5)
