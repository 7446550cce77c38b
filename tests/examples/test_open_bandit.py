"""Open Bandit data: two policies that 10,000 rows each do not tell apart, and a log that bears no look back.

The small logs of `obp` 0.4.1 (Saito et al., arXiv 2008.07146; CC BY 4.0) are not part of this repository. The tests
look for obd_women.csv and obd_all.csv in the folder that INCUMBENT_TEST_DATA names, else in `shared/data` beside the
checkout.
"""

import os
from pathlib import Path

import pandas as pd
import pytest

from incumbent.project import lookback as reading
from incumbent.project.lookback import Columns

DATA = Path(os.environ.get("INCUMBENT_TEST_DATA") or Path(__file__).parents[3] / "shared" / "data")
pytestmark = pytest.mark.skipif(
    not (DATA / "obd_women.csv").exists(), reason="needs the small Open Bandit logs: see the top of this file"
)
LOGS = Columns("click", "propensity_score", action="item_id")
CAMPAIGNS = ("women", "all")


def log(campaign: str, policy: str) -> pd.DataFrame:
    """The 10,000 rows of one policy, with the probability of the same item under a uniform choice."""
    rows = pd.read_csv(DATA / f"obd_{campaign}.csv")
    items = rows["item_id"].nunique()
    return rows[rows["policy"] == policy].reset_index(drop=True).assign(uniform=1.0 / items)


@pytest.mark.parametrize(("campaign", "clicks"), [("women", (46, 46)), ("all", (38, 42))])
def test_the_two_policies_cannot_be_told_apart(campaign: str, clicks: tuple[int, int]) -> None:
    """46 clicks against 46, and 38 against 42: not enough data, from both sides."""
    for one, other in (("random", "bts"), ("bts", "random")):
        measured, _ = reading.of_logs(log(campaign, one), log(campaign, other), LOGS, at=0)
        found = measured.numbers["lookback"]
        assert measured.verdict == "not_enough_data"
        assert "not enough data to say which is better" in measured.sentence
        earned = dict(zip(("random", "bts"), clicks, strict=True))
        assert found["value"]["value"] * 10_000 == pytest.approx(earned[other])
        assert found["reference"]["value"] * 10_000 == pytest.approx(earned[one])


def test_random_is_not_estimated_from_a_log_worth_two_rows() -> None:
    """The policy that learnt shows some items once in a million: 10,000 rows are worth 2.1 of a random choice."""
    evidence = reading.of_file(log("women", "bts"), Columns("click", "propensity_score", "uniform"), at=0)
    found = evidence.numbers["lookback"]
    assert evidence.verdict == "not_enough_data" and "estimates" not in found
    assert found["effective"] == pytest.approx(2.0778, abs=1e-3)
    assert found["largest_weight"] == pytest.approx(21_739, abs=1)
    assert "10,000 rows are worth 2.1 of the new policy" in evidence.sentence


def test_few_clicks_are_refused_although_the_rows_would_do() -> None:
    """On the larger campaign 10,000 rows are worth 340, but the 42 clicks are worth 7."""
    evidence = reading.of_file(log("all", "bts"), Columns("click", "propensity_score", "uniform"), at=0)
    found = evidence.numbers["lookback"]
    assert found["effective"] == pytest.approx(340.38, abs=0.01)
    assert found["rewarded"] < 20 and "worth 7.3 rows" in evidence.sentence


def test_a_uniform_log_can_be_looked_back_on() -> None:
    """A random choice lets the other policy's shares be weighed: 3,573 rows' worth, and the measured rate is inside."""
    _, looked = reading.of_logs(log("women", "random"), log("women", "bts"), LOGS, at=0)
    found = looked.numbers["lookback"]
    assert found["refused"] == [] and found["effective"] == pytest.approx(3573.07, abs=0.01)
    assert found["value"]["lower"] < 46 / 10_000 < found["value"]["upper"]
    assert looked.verdict == "not_enough_data"


@pytest.mark.parametrize("campaign", CAMPAIGNS)
def test_a_policy_looked_back_on_by_itself_is_itself(campaign: str) -> None:
    """Weights of 1: the same mean, a difference of nothing."""
    rows = log(campaign, "random")
    found = reading.of_file(rows, Columns("click", "propensity_score", "propensity_score"), at=0).numbers["lookback"]
    assert found["effective"] == pytest.approx(10_000) and found["difference"]["value"] == pytest.approx(0.0, abs=1e-12)
