"""What is compared: kinds of measures from rows, directions, and who is primary."""

import numpy as np
import pytest
from summing import Row, of_rows

from incumbent.config import Live, Measure
from incumbent.records import Trial
from incumbent.steps.live import measures
from incumbent.steps.live.gain import Gain
from incumbent.steps.live.horizon import Horizon
from incumbent.steps.live.measures import Compared
from incumbent.steps.live.sums import plan

SPLIT = Trial("t1", "v2", "v1", "split", 0)


def shop(seed: int = 1, units: int = 400) -> list[Row]:
    """Each unit 1-4 answers; some buy, the challenger's a bit more; pages are seen."""
    rng = np.random.default_rng(seed)
    rows = []
    for unit in range(units):
        arm = ("challenger", "incumbent")[unit % 2]
        for _ in range(rng.integers(1, 5)):
            outcomes = {"pages": float(rng.integers(1, 6))}
            if rng.random() < (0.5 if arm == "challenger" else 0.4):
                outcomes["revenue"] = float(rng.gamma(2, 10))
            rows.append(Row(f"u{unit}", arm, float(rng.random()), outcomes, matured=bool(rng.random() < 0.9)))
    return rows


def compared(one: Measure, rows: list[Row] | None = None, **caps: float) -> Compared:
    live = Live(measure=(one,), cuped="off", mode="split")
    trial = Trial("t1", "v2", "v1", "split", 0, caps=caps)
    found = of_rows(shop() if rows is None else rows, plan(trial, live))
    return measures.compare(one, found.arms, live, {}, lambda _: Horizon(300.0))


def by_unit(rows: list[Row], arm: str, value: str) -> list[list[float]]:
    """The values of an outcome by unit, of rows whose window is closed; units without such rows are left out."""
    units: dict[str, list[float]] = {}
    for row in rows:
        if row.arm == arm and row.matured:
            units.setdefault(row.unit, []).extend([row.outcomes[value]] if value in row.outcomes else [])
    return list(units.values())


@pytest.mark.parametrize("of", ["mean", "sum", "count"])
def test_each_kind_of_measure_is_what_it_says(of: str) -> None:
    """mean: of the rows that have it; sum and count: a unit, whether it has any or not."""
    rows = shop()
    found = compared(Measure("revenue", of=of), rows=rows)  # type: ignore[arg-type]
    for arm in ("challenger", "incumbent"):
        units = by_unit(rows, arm, "revenue")
        had = [value for one in units for value in one]
        expected = {
            "mean": np.mean(had), "sum": sum(had) / len(units), "count": len(had) / len(units),
        }[of]  # fmt: skip
        assert found.values[arm] == pytest.approx(expected)
        assert found.outcomes[arm] == (len(had) if of == "mean" else len(units))  # type: ignore[index]
    gained = found.values["challenger"] - found.values["incumbent"]  # type: ignore[operator]
    assert found.gain.estimate == pytest.approx(gained) and found.ready


def test_a_ratio_is_of_two_sums() -> None:
    rows = shop()
    found = compared(Measure("per_page", outcome="revenue", of="ratio", over="pages"), rows=rows)
    for arm in ("challenger", "incumbent"):
        sold, seen = (sum(map(sum, by_unit(rows, arm, name))) for name in ("revenue", "pages"))
        assert found.values[arm] == pytest.approx(sold / seen)
    assert found.gain.estimate == pytest.approx(found.values["challenger"] - found.values["incumbent"])  # type: ignore[operator]


def test_smaller_is_better_where_it_says_so() -> None:
    """The same outcome the other way round: the gain changes its sign, the bounds with it."""
    up, down = (compared(Measure("revenue", of="sum", better=way)) for way in ("larger", "smaller"))  # type: ignore[arg-type]
    assert down.found["estimate"] == -up.found["estimate"]
    assert down.found["lower"] == pytest.approx(-up.found["upper"])


def test_a_cap_bounds_one_outcome_and_no_count() -> None:
    """At 10 a row: the mean falls, and a whale of 1e6 is one of 10."""
    rows = [*shop(), Row("whale", "challenger", outcomes={"revenue": 1e6})]
    free = compared(Measure("revenue"), rows=rows)
    capped = compared(Measure("revenue"), rows=rows, revenue=10.0)
    had = [min(v, 10.0) for one in by_unit(rows, "challenger", "revenue") for v in one]
    assert capped.values["challenger"] == pytest.approx(np.mean(had))
    assert free.values["challenger"] > 1_000  # type: ignore[operator]
    assert capped.gain.variance < free.gain.variance / 1_000


def test_a_bound_needs_outcomes_units_and_events() -> None:
    """100 outcomes of 50 units an arm, and ten events of a count in both together."""
    few = [Row(f"u{i}", ("challenger", "incumbent")[i % 2], 0.5, {"revenue": float(i % 7)}) for i in range(198)]
    assert not compared(Measure("revenue"), rows=few).ready
    more = [*few, *(Row(f"w{i}", ("challenger", "incumbent")[i % 2], 0.5, {"revenue": 1.0}) for i in range(20))]
    assert compared(Measure("revenue"), rows=more).ready
    rare = [Row(row.unit, row.arm, 0.5, {"revenue": 1.0} if i < 9 else {}) for i, row in enumerate(more)]
    assert not compared(Measure("revenue", of="count"), rows=rare).ready
    assert compared(Measure("revenue", of="count"), rows=rare).found["lower"] == -np.inf
    some = [Row(row.unit, row.arm, 0.5, {"revenue": 1.0} if i < 10 else {}) for i, row in enumerate(more)]
    assert compared(Measure("revenue", of="count"), rows=some).ready


def test_a_loss_that_few_units_make_up_has_no_bound() -> None:
    """Eight wrong answers of 400 are too few, ten will do; and one unit that has nearly all of it is one."""
    loss = measures.of(Live())[0]

    def ready(losses: list[float]) -> bool:
        rows = [Row(f"{arm}{i}", arm, one) for arm in measures.ARMS for i, one in enumerate(losses)]
        return measures.compare(
            loss, of_rows(rows, plan(SPLIT, Live())).arms, Live(), {}, lambda _: Horizon(300.0)
        ).ready

    assert not ready([1.0] * 4 + [0.0] * 196) and ready([1.0] * 5 + [0.0] * 195)
    assert not ready([1e6] + [0.5] * 199) and ready([0.5, 0.4] * 100)


def test_the_tuning_of_an_earlier_look_stays() -> None:
    """And none is chosen before the first valid bound."""
    live = Live(measure=(Measure("revenue"),))
    found = of_rows(shop(), plan(SPLIT, live))

    def compare(past: dict[str, float], rows: list[Row]) -> Compared:
        sums = of_rows(rows, plan(SPLIT, live))
        return measures.compare(live.measure[0], sums.arms, live, past, lambda _: Horizon(300.0))

    assert compare({"n_star": 77.0}, shop()).horizon.n_star == 77.0
    assert compare({}, shop(units=40)).horizon.n_star is None
    assert found.arms["challenger"].units == 200


def test_the_row_loss_is_primary_unless_another_is() -> None:
    """Then it is shown; guardrails share their half of the rollback budget."""
    guard, shown = Measure("revenue"), Measure("pages", role="shown")
    assert [(one.name, one.role) for one in measures.of(Live(measure=(guard, shown)))] == [
        ("loss", "primary"), ("revenue", "guardrail"), ("pages", "shown"),
    ]  # fmt: skip
    decides = Live(measure=(guard, Measure("sales", role="primary")), latency_budget_ms=5.0)
    assert [(one.name, one.role) for one in measures.of(decides)] == [
        ("sales", "primary"), ("loss", "shown"), ("revenue", "guardrail"),
    ]  # fmt: skip
    assert measures.harmless(Live()) == 1
    assert measures.harmless(decides) == 3  # errors, latency, revenue
    assert measures.guard_alpha(decides, 3) == pytest.approx(0.02 / 2 / 3)


def test_numbers_have_no_infinity() -> None:
    """None before the first valid bound."""
    one = Compared(
        Measure("revenue"), Gain(0, np.nan, np.inf), {"estimate": np.nan, "lower": -np.inf},
        {"challenger": None, "incumbent": None}, {}, False, Horizon(),
    )  # fmt: skip
    assert one.numbers()["estimate"] is None and one.numbers()["lower"] is None


@pytest.mark.parametrize("wrong", [1.0, 0.5])
def test_a_faultless_incumbent_shields_nobody(wrong: float) -> None:
    """It is never wrong, so there is no variance in its arm, nor in one that always is: harm is shown all the same."""
    rows = [Row(f"c{i}", "challenger", float(i < 200 * wrong)) for i in range(200)]
    rows += [Row(f"i{i}", "incumbent", 0.0) for i in range(200)]
    found = measures.compare(
        measures.of(Live())[0], of_rows(rows, plan(SPLIT, Live())).arms, Live(), {}, lambda _: Horizon(300.0)
    )
    assert found.ready and found.found["estimate"] == -wrong and found.found["harm_upper"] < -0.3


def test_nothing_seen_is_nothing_known() -> None:
    """No wrong answer in either arm, or no refund yet: no bound, for a gain of exactly 0 would be taken as certain."""
    rows = [Row(f"{arm}{i}", arm, 0.0, {"refund": 0.0}) for arm in measures.ARMS for i in range(200)]
    live = Live(measure=(Measure("refund"),))
    for one in measures.of(live):
        found = measures.compare(
            one, of_rows(rows, plan(SPLIT, live)).arms, live, {}, lambda _: Horizon(300.0)
        )
        assert not found.ready and found.found["upper"] == np.inf
