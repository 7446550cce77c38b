"""What one outcome counts at most is fixed when a trial starts: declared, or from the outcomes before."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from incumbent.config import Live, Measure, parse
from incumbent.loop import outcome
from incumbent.loop.caps import caps
from incumbent.records import DAY, Outcome, Prediction, Signature
from incumbent.stats import metrics
from incumbent.storage.base import Log
from incumbent.storage.opening import open_facts

NOW = 100 * DAY
SQUARED, BRIER = metrics.get("squared_error", "regression"), metrics.get("brier", "binary")
PAID = np.random.default_rng(3).lognormal(3, 1.5, 2_000)
TOML = '[task]\nname = "t"\nkind = "regression"\ntarget = "y"\nmetric = "squared_error"\n'


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Log]:
    """2,000 answers in the last 28 days, each paid for, some of them refunds; and a whale a year ago."""
    folder: Path = tmp_path_factory.mktemp("store")
    facts = open_facts(parse(TOML, folder))
    rows = [Prediction(f"p{i}", NOW - (i + 1) * DAY // 100, {}, "v1", "v1", (0.0,)) for i in range(len(PAID))]
    rows.append(Prediction("whale", NOW - 60 * DAY, {}, "v1", "v1", (0.0,)))
    facts.log.append(rows)
    told = [Outcome(f"p{i}", float(paid) * (-1) ** i, rows[i].at + 1, "paid") for i, paid in enumerate(PAID)]
    told += [Outcome(f"p{i}", float(np.sqrt(paid)), rows[i].at + 1) for i, paid in enumerate(PAID)]
    facts.log.append_outcomes([*told, Outcome("whale", 1e6, NOW - 59 * DAY, "paid")])
    outcome.settle(facts.log, Signature((), "regression"), SQUARED)
    yield facts.log
    facts.close()


def of(log: Log, *measures: Measure) -> dict[str, float]:
    return caps(log, Live(measure=measures), BRIER, NOW)


def test_the_quantile_of_the_last_28_days_is_the_cap(log: Log) -> None:
    """Of the sizes: a refund of 500 is as large as a payment of 500. The whale of a year ago is forgotten."""
    expected = np.quantile(PAID, 0.999, method="higher")
    assert of(log, Measure("paid")) == {"paid": pytest.approx(expected)}
    assert of(log, Measure("spent", outcome="paid", of="sum", cap_at=0.9)) == {
        "spent": pytest.approx(np.quantile(PAID, 0.9, method="higher"))
    }


def test_a_declared_cap_counts_as_declared(log: Log) -> None:
    assert of(log, Measure("paid", cap=50.0)) == {"paid": 50.0}


def test_no_cap_where_none_is_wanted_or_too_little_is_known(log: Log) -> None:
    """Off; fewer outcomes than the quantile needs; an outcome that nobody posted; a count, whose values are 0 and 1."""
    for measure in (
        Measure("paid", cap_at=0.0),
        Measure("paid", cap_at=0.9999),
        Measure("clicked"),
        Measure("sales", outcome="paid", of="count"),
    ):
        assert of(log, measure) == {}


def test_a_loss_without_an_end_has_a_cap_of_its_own(log: Log) -> None:
    """Squared errors of what was served; a Brier score ends at 1 and needs none."""
    expected = np.quantile(PAID, 0.999, method="higher")
    assert caps(log, Live(), SQUARED, NOW) == {"loss": pytest.approx(expected, rel=1e-6)}
    assert caps(log, Live(), BRIER, NOW) == caps(log, Live(), metrics.get("roc_auc", "binary"), NOW) == {}
