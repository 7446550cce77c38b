"""What makes a baseline worthless is said, and what is fine is not."""

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from incumbent import config
from incumbent.records import Column, Signature
from incumbent.stats import metrics
from incumbent.stats.metrics import Metric
from incumbent.steps import baseline

Array = npt.NDArray[Any]
BINARY = Signature((Column("k", "integer"),), "binary", ("no", "yes"))


def rows(n: int, seed: int) -> tuple[dict[str, Array], Array]:
    generator = np.random.default_rng(seed)
    k = generator.integers(0, 4, n).astype(float)
    return {"k": k}, (generator.uniform(size=n) < 0.2 + 0.15 * k).astype(np.int64)


def traps(metric: Metric, held: Array | None = None) -> dict[str, str]:
    """The sentences of the warnings, by trap."""
    columns, truth = rows(2_000, 0)
    later, later_truth = rows(500, 1)
    later = later | {"k": later["k"] + 0.0}
    found = baseline.fit(
        columns, truth, BINARY, metric, config.Task("t", "binary", "y", metric.name),
        (later, later_truth if held is None else held, None), settings=config.Baseline(simple="off"),
    )  # fmt: skip
    return {w["trap"]: w["sentence"] for w in found.evidence[0].numbers["warnings"] if w["trap"] != "duplicates"}


@pytest.mark.parametrize("name", ["brier", "accuracy", "log_loss", "roc_auc", "f1"])
def test_our_own_metrics_say_the_right_way_round(name: str) -> None:
    """No warning for a metric that is declared as it works."""
    assert traps(metrics.get(name, "binary")) == {}


def test_a_metric_that_says_the_wrong_way_round_is_found() -> None:
    """A gain that is declared as a loss: a perfect prediction scores worse than a naive one."""
    turned = replace(metrics.get("accuracy", "binary"), lower_is_better=True, row_loss=None, of_mean_loss=None)
    assert "turn its direction round" in traps(turned)["direction"]
    right = replace(metrics.get("accuracy", "binary"), row_loss=None, of_mean_loss=None)
    assert traps(right) == {}


def test_a_metric_that_declares_another_perfect_value_is_found() -> None:
    """What knows the truth does not reach what is declared."""
    percent = replace(metrics.get("accuracy", "binary"), perfect=100.0)
    assert "declares 100 as perfect" in traps(percent)["perfect"]


def test_one_class_among_the_held_out_rows_is_said() -> None:
    """The Brier score has a value there, and it says nothing of the other class."""
    assert "all 500 held-out labels are 'no'" in traps(metrics.get("brier", "binary"), np.zeros(500, int))["one_class"]
