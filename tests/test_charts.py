"""Charts draw what they are given, with units and words, light and dark."""

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from xml.etree import ElementTree
from zoneinfo import ZoneInfo

import pytest

from incumbent import charts, drawing
from incumbent.config import parse
from incumbent.records import DAY, Event, Evidence, Json, Micros
from incumbent.storage.base import PeriodSum

ZONE = ZoneInfo("America/New_York")
APRIL: Micros = 1364788800 * 1_000_000  # 1 April 2013, midnight in New York
CONFIG = parse(
    '[task]\nname="x"\nkind="binary"\ntarget="y"\nmetric="brier"\ntimezone="America/New_York"\n[live]\nmin_gain=0.001'
)
SVG = "{http://www.w3.org/2000/svg}"


def looks(series: list[list[Json]], mode: str = "shadow", **more: Json) -> list[Evidence]:
    """The recorded looks of one phase."""
    of_all = {"trial": "t6", "phase": 1, "metric": "brier", "mode": mode, **more}
    return [
        Evidence("live", "v3", "continue", "s", at, "v2", {**of_all, "estimate": gain, "lower": low, "upper": high})
        for at, gain, low, high in series
    ]


def rule(rank: int, lower: float | None) -> Evidence:
    numbers = {"rank": rank, "metric": "brier", "value": 0.17 + rank / 100, "lower": lower, "upper": 0.2}
    return Evidence("baseline", f"rule {rank}", "best" if rank == 1 else "beaten", "s", APRIL, None, numbers)


def expected(law: bool = True, goal: float | None = 0.14) -> Evidence:
    """What `expect` records: three sizes, and where there is a law, its line and what it says of more rows."""
    points = [
        {"n_rows": n, "value": value, "lower": value - 0.01, "upper": value + 0.01, "along": [value - 0.004, value]}
        for n, value in ((100, 0.17), (200, 0.16), (400, 0.155))
    ]
    line = [{"n_rows": n, "value": 0.15, "lower": 0.14, "upper": 0.16} for n in (100, 800, 4_000)]
    more = [{**point, "times": times} for times, point in ((2, {**points[2], "n_rows": 800}),)]
    curve = {"points": points, "line": line if law else [], "more": more if law else []}
    numbers = {
        "metric": "brier", "lower_is_better": True, "goal": goal, "floor": {"name": "the prior", "value": 0.18},
        "people": [{"name": "the desk", "value": 0.15}], "noise": {"value": 0.12}, "curve": curve,
    }  # fmt: skip
    return Evidence("expect", "what may be expected", "reachable", "s", APRIL, None, numbers)


def planned(source: str, gain: float | None, known: bool = True) -> Evidence:
    """What `live plan` finds: four weeks, the first one without a gain."""
    late = [[days, 0.1 / days, 0.03 / days, 0.05 / days] for days in range(8, 29)] if known else []
    curve = [[days, None, None, None] for days in range(1, 8)] + late
    plan = {"metric": "brier", "curve": curve, "pairs": {"source": source}, "effect": gain and {"gain": gain}}
    return Evidence("live", "v2", "shadow", "s", APRIL, "v1", {"plan": plan})


def event(sequence: int, type: str, day: int, **data: Json) -> Event:
    return Event(sequence, type, APRIL + day * DAY, 0, "tick", "r", data, {}, "", "")


def registered(sequence: int, name: str, day: int) -> Event:
    signature = {"columns": [], "kind": "binary", "classes": [False, True]}
    made = {"name": name, "runtime": "rule", "manifest": "", "signature": signature}
    return event(sequence, "VersionRegistered", day, version=made)


SERIES = [[APRIL, None, None, None]] + [
    [APRIL + i * DAY, 0.004, 0.004 - 0.02 / i, 0.004 + 0.02 / i] for i in range(1, 12)
]
WEEKS = [PeriodSum(APRIL // (7 * DAY) + i, 100, 90, int(90 * 0.16e9)) for i in range(5)]
WEEKS.append(PeriodSum(WEEKS[-1].period + 1, 100, 0, 0))
EVENTS = (
    registered(1, "v1", 0),
    event(2, "Promoted", 0, version="v1", replaces=None),
    registered(3, "v2", 10),
    event(4, "Promoted", 10, version="v2", replaces="v1"),
    event(5, "RetrainRefused", 20, cause="cadence"),
    event(6, "RolledBack", 30, version="v2", to="v1"),
    event(7, "AlarmRaised", 35, alarm="harm"),
)
MONTHS = [SimpleNamespace(name=f"2013-{n:02d}", loss={"loop": 0.15, "prior": 0.17 + n / 1000}) for n in (4, 5, 6)]
GAINS = [
    SimpleNamespace(label="all rows", verdict="ship", gain=0.01, lower=0.004, upper=0.016,
                    thresholds=(("better_by", 0.002), ("no_worse_than", -0.001))),
    SimpleNamespace(label="hour=5", verdict="unheard of", gain=0.0, lower=None, upper=None, thresholds=()),
]  # fmt: skip
DRAWN: dict[str, tuple[Callable[[], charts.Chart], tuple[str, ...]]] = {
    "trial": (lambda: charts.trial(looks(SERIES), 0.001, ZONE), ("gain in brier", "promoted above", "no difference")),
    "loss": (lambda: charts.loss(WEEKS, "brier", ZONE, baseline=0.17), ("brier of served answers", "America/New_York")),
    "expectation": (
        lambda: charts.expectation(expected()),
        ("floor: the prior, 0.18", "people: the desk, 0.15", "ceiling: equal rows differ, 0.12", "goal, 0.14", "2 ×"),
    ),
    "no law": (lambda: charts.expectation(expected(law=False, goal=None)), ("training rows (log scale)", "floor")),
    "planned": (
        lambda: charts.planned(planned("assumed", 0.002)),
        ("What a trial of v2 could show", "split", "shadow", "worth having: 0.002", "smallest gain in brier", "14"),
    ),
    "planned for nothing": (
        lambda: charts.planned(planned("replay", None, known=False)), ("nothing can be shown in these days",),
    ),
    "baselines": (lambda: charts.baselines([rule(2, None), rule(1, 0.15)]), ("rule 1", "rule 2", "95 % interval")),
    "policies": (
        lambda: charts.policies(MONTHS, {"loop": "the loop", "prior": "the prior"}, "brier"),
        ("the loop", "the prior", "month of 2013", "May"),
    ),
    "latency": (
        lambda: charts.latency([charts.Rung("teacher", 9.0, 14.0), charts.Rung("student", 0.05, 0.09)], 1.0),
        ("teacher", "p99 0.09 ms", "budget 1 ms", "log scale"),
    ),
    "gains": (
        lambda: charts.gains(GAINS, "brier", {"ship": "good"}, charts.headline("Ship: v7", "on 365 rows", "good")),
        ("Ship: v7", "on 365 rows", "all rows", "hour=5", "+0.01, ship", "better_by +0.002", "gain in brier"),
    ),
    "incumbents": (
        lambda: charts.incumbents(EVENTS, ZONE),
        ("v1", "v2", "in office", "retrain refused", "taken back", "alarm"),
    ),
}  # fmt: skip


def values(spec: dict[str, Json], layer: int) -> list[dict[str, Json]]:
    found: list[dict[str, Json]] = spec["datasets"][spec["layer"][layer]["data"]["name"]]
    return found


def texts(svg: bytes) -> str:
    return " | ".join("".join(node.itertext()) for node in ElementTree.fromstring(svg).iter(f"{SVG}text"))


@pytest.mark.parametrize("name", DRAWN)
def test_a_chart_says_what_it_shows(name: str) -> None:
    """Titles, units and names are text in the picture."""
    make, told = DRAWN[name]
    found = texts(drawing.svg(make()))
    assert [text for text in told if text not in found] == []


@pytest.mark.parametrize("name", DRAWN)
def test_light_and_dark_differ_in_colour_alone(name: str) -> None:
    """Both drawings have the same words and a transparent ground, in other colours."""
    both = drawing.both(DRAWN[name][0]())
    assert texts(both["light"]) == texts(both["dark"])
    assert drawing.LIGHT["ink"].encode() in both["light"]
    assert drawing.DARK["ink"].encode() in both["dark"]
    assert drawing.LIGHT["ink"].encode() not in both["dark"]


def test_the_same_facts_give_the_same_bytes() -> None:
    """A picture drawn again is the same blob."""
    make, _ = DRAWN["loss"]
    assert drawing.svg(make()) == drawing.svg(make())


def test_first_looks_do_not_flatten_the_rest() -> None:
    """The y scale of a trial covers the settled bounds, zero and the promote line, not the first wide ones."""
    spec = charts.trial(looks(SERIES), 0.001, ZONE).to_dict()
    low, high = spec["layer"][0]["encoding"]["y"]["scale"]["domain"]
    assert -0.02 < low < 0.0
    assert 0.004 < high < 0.02


def test_only_the_last_phase_is_drawn_and_in_the_measure_that_decides() -> None:
    """What came before a new phase left the decision; a primary measure has its own name on the axis."""
    first, last = looks(SERIES), looks(SERIES[:2], phase=2, primary="revenue")
    chart = charts.trial([*first, *last])
    assert len(values(chart.to_dict(), 1)) == len(values(charts.trial(last).to_dict(), 1)) < len(SERIES)
    assert "gain in revenue" in drawing.svg(chart).decode()


def test_zero_is_in_the_picture_of_a_gain_however_far_it_is() -> None:
    """With room on both sides, so that neither a bound nor the line of no difference touches the edge."""
    far = [SimpleNamespace(label="all", verdict="ship", gain=5.0, lower=4.0, upper=6.0, thresholds=())]
    spec = charts.gains(far, "brier", {}, charts.headline("t", "s", "good")).to_dict()
    low, high = spec["layer"][0]["encoding"]["x"]["scale"]["domain"]
    assert low < 0.0 and high > 6.0


def test_a_day_is_a_day_of_the_tasks_zone() -> None:
    """2 April, midnight in New York, is drawn as 2 April, midnight."""
    spec = charts.trial(looks(SERIES), 0.0, ZONE).to_dict()
    assert values(spec, 1)[0]["when"] == "2013-04-02T00:00:00Z"


def test_stretches_in_office_follow_the_ledger() -> None:
    """v1 comes back when v2 is taken back, and holds office until the last event."""
    spec = charts.incumbents(EVENTS, ZONE).to_dict()
    spans = [(row["version"], row["since"][:10], row["until"][:10]) for row in values(spec, 0)]
    assert sorted(spans) == [
        ("v1", "2013-04-01", "2013-04-11"), ("v1", "2013-05-01", "2013-05-06"), ("v2", "2013-04-11", "2013-05-01"),
    ]  # fmt: skip


def test_the_dashboard_draws_what_there_are_facts_for() -> None:
    """An empty ledger draws nothing; events, looks, rules, expectation and weeks bring a picture in both themes."""
    assert charts.dashboard(CONFIG, [], []) == {}
    evidence = [rule(1, 0.15), rule(2, 0.16), expected(), *looks(SERIES), *looks(SERIES, "watch")]
    found = [
        event(8 + i, "EvidenceRecorded", 40, step=one.step, version=one.subject, evidence=as_dict(one))
        for i, one in enumerate(evidence)
    ]
    drawn = charts.dashboard(CONFIG, [*EVENTS, *found], WEEKS)
    names = {"incumbents", "trial", "trial-t6", "loss", "baseline", "expect"}
    assert set(drawn) == {f"{name}.{theme}" for name in names for theme in ("light", "dark")}


def test_the_rules_are_drawn_with_what_is_listed_and_what_is_perfect() -> None:
    """Small models and references have a colour and a name of their own; perfect and a score are lines."""
    numbers = {"rank": 3, "metric": "brier", "value": 0.15, "lower": 0.14, "upper": 0.16, "perfect": 0.0}
    listed = Evidence("baseline", "tree of depth 3", "listed", "s", APRIL, None, numbers)
    system = Evidence("baseline", "old system", "reference", "s", APRIL, None, numbers | {"rank": 4})
    best = rule(1, 0.15)
    chart = charts.baselines([replace(best, numbers=best.numbers | {"perfect": 0.0}), listed, system], scored=0.12)
    drawn = drawing.svg(chart).decode()
    for words in ("naive rule", "small model, for comparison", "reference, not served", "perfect: 0", "yours: 0.12"):
        assert words in drawn
    alone = drawing.svg(charts.baselines([rule(1, 0.15), rule(2, None)])).decode()
    assert "role-legend" in drawn and "role-legend" not in alone and "perfect:" not in alone


def test_a_metric_without_a_mean_is_drawn_as_its_row_loss() -> None:
    """r2 by week cannot be had from sums of losses: the picture says what it shows, the baseline in the same unit."""
    config = replace(CONFIG, task=replace(CONFIG.task, kind="regression", metric="r2"))
    numbers = rule(1, 0.1).numbers | {"metric": "r2", "mean_loss": 0.16}
    evidence = as_dict(replace(rule(1, 0.1), numbers=numbers))
    found = event(8, "EvidenceRecorded", 40, step="baseline", version="rule 1", evidence=evidence)
    drawn = charts.dashboard(config, [*EVENTS, found], WEEKS)["loss.light"].decode()
    assert "row loss of r2" in drawn and "baseline on held-out rows" in drawn


def as_dict(one: Evidence) -> dict[str, Json]:
    keys = ("step", "subject", "verdict", "sentence", "at", "reference", "numbers")
    return {key: getattr(one, key) for key in keys}


@pytest.mark.parametrize(("gold", "said"), [("people", "a perfect model reads this"), ("labels", "were their labels")])
def test_people_model_and_baseline_are_drawn_with_the_ceiling(gold: str, said: str) -> None:
    """Three rows with their intervals, what a perfect model reads, and the verdict as the title."""
    numbers: dict[str, Json] = {
        "metric": "accuracy", "gold": gold, "ceiling": 0.93,
        **{who: {"value": value, "lower": value - 0.02, "upper": value + 0.02, "n": 1000}
           for who, value in (("people", 0.9), ("model", 0.91), ("baseline", 0.5))},
    }  # fmt: skip
    evidence = Evidence("baseline", "v3", "automate", "s", APRIL, "v2", numbers)
    drawn = drawing.svg(charts.people(evidence)).decode()
    for text in ("people (v2)", "model (v3)", "baseline", "May v3 replace people? automate", said):
        assert text in drawn
    without = Evidence("baseline", "v3", "not_yet", "s", APRIL, "v2", {**numbers, "ceiling": None, "baseline": None})
    assert said not in drawing.svg(charts.people(without)).decode()


def test_people_are_no_naive_rule() -> None:
    """The picture of the rules leaves them out, and the dashboard draws theirs beside it."""
    numbers: dict[str, Json] = {"metric": "accuracy", "gold": "labels", "people": {"value": 0.9, "lower": 0.8,
                                "upper": 0.95, "n": 9}, "model": None, "baseline": None}  # fmt: skip
    found = [rule(1, 0.1), rule(2, 0.1), Evidence("baseline", "v3", "assist", "s", APRIL + 9, "v2", numbers)]
    assert [one.subject for one in charts.latest_rules(found)] == ["rule 1", "rule 2"]
