"""A trial's pictures say where it stands in words and signs, for looks of this release and of earlier ones."""

import itertools
import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incumbent import charts, charts_live, drawing
from incumbent.config import parse
from incumbent.records import DAY, Evidence

sys.path.insert(0, str(Path(__file__).parent / "web"))
trials = import_module("trials")
SVG = "{http://www.w3.org/2000/svg}"
LOOKS = [trials.look("t6", "split", n) for n in range(1, 10)]
EARLIER = {"failures": {"challenger": 3, "incumbent": 2, "harm": False, "cleared": True, "upper_rate": 0.004}}


def texts(chart: charts.Chart) -> str:
    found = ElementTree.fromstring(drawing.svg(chart)).iter(f"{SVG}text")
    return " | ".join("".join(node.itertext()) for node in found)


def drawn_at(chart: charts.Chart) -> list[str]:
    spec = chart.to_dict()
    return [row["when"] for row in spec["datasets"][spec["layer"][1]["data"]["name"]]]


def test_the_lines_of_promoting_and_stopping_are_named_with_their_values() -> None:
    """They come from the look, and from the settings where a look does not know them."""
    said = texts(charts.trial(LOOKS))
    assert "promoted above 0.0005" in said and "stopped if all is below 0.002" in said
    plain = [replace(one, numbers={k: v for k, v in one.numbers.items() if k != "lines"}) for one in LOOKS]
    assert "no difference; promoted above" in texts(charts.trial(plain))
    assert "stopped if all is below 0.01" in texts(charts.trial(plain, smallest_effect=0.01))


def test_the_verdict_stands_above_the_picture_where_it_is_asked_for() -> None:
    """In words, and in the sentence of the last look."""
    last = trials.look("t6", "split", 9, "promote", "the gain is at least 0.0021")
    said = texts(charts.trial([*LOOKS[:-1], last], verdict=True))
    assert "The challenger is shown better" in said and "at least 0.0021" in said
    assert "shown better" not in texts(charts.trial(LOOKS))


def test_only_the_last_phase_is_drawn() -> None:
    """What was seen before a new phase has left the decision."""
    later = [replace(one, numbers={**one.numbers, "phase": 2}) for one in LOOKS[6:]]
    assert len(drawn_at(charts.trial([*LOOKS[:6], *later]))) == 3


def test_a_look_of_an_earlier_release_brings_its_own_past() -> None:
    """Its series is drawn, and its failures are a guardrail."""
    series = [[trials.MAY + n * DAY, 0.004, -0.01, 0.02] for n in range(5)]
    old = Evidence("live", "v3", "continue", "s", trials.MAY, "v2", {"metric": "brier", "series": series, **EARLIER})
    assert len(drawn_at(charts.trial([old]))) == 5
    assert "✓ errors: shown harmless" in texts(charts.guardrails(old))


@pytest.mark.parametrize(
    ("state", "said"),
    [("harm", "✗ errors: harm is shown"), ("cleared", "✓ errors: shown harmless"),
     ("undecided", "○ errors: not decided yet")],
)  # fmt: skip
def test_a_guardrails_state_is_a_sign_and_words(state: str, said: str) -> None:
    """Nobody has to tell colours apart."""
    numbers: dict[str, Any] = {"guardrails": [trials.guardrail("errors", state)]}
    told = texts(charts.guardrails(Evidence("live", "v3", "continue", "s", 0, "v2", numbers)))
    assert said in told and "allowed" in told and "share of answers failed" in told


def test_a_guardrail_without_an_interval_is_not_drawn() -> None:
    """Whether labels come alike is a p-value: the page says it in words."""
    assert "labels" not in texts(charts.guardrails(LOOKS[-1]))
    assert charts_live.has_guardrails(LOOKS[-1])
    assert not charts_live.has_guardrails(Evidence("live", "v3", "continue", "s", 0, "v2", {"metric": "brier"}))


@given(st.lists(st.floats(-0.1, 0.1), min_size=1, max_size=3))
def test_names_of_lines_never_lie_on_each_other(levels: list[float]) -> None:
    """However close the lines are."""
    placed = charts_live._apart([(level, "", "") for level in sorted(levels)], [-0.2, 0.2])
    assert all(below - above >= charts_live.NAME - 1e-9 for below, above in itertools.pairwise(placed))


def test_the_ticker_draws_a_trial_again_after_a_new_look_only() -> None:
    """Two pictures a trial; the dashboard's own shows the last trial."""
    config = parse('[task]\nname="x"\nkind="binary"\ntarget="y"\nmetric="brier"\n')
    found = charts._trials(config, LOOKS, {})
    assert set(found) == {"trial-t6", "guardrails-t6", "trial"}
    assert set(charts._trials(config, LOOKS, {"trial-t6.light": LOOKS[-1].at})) == {"trial"}
