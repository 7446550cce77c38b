"""The table at few runs: every row holds, by limits that hold by calculation; and a broken rule is seen by it.

A share that is at most p misses `binom.ppf(1 - 1e-4, R, p)` of R runs with a chance below 1e-4, one that is at least p
likewise. A median that is at most m: of R runs each is later than m with a chance of at most ½. A mean: 3.72 standard
errors, which is 1e-4 by the central limit theorem. A share of 0 (worse by the planned effect, promoted): from day 7 on
the bound is 4.7 standard errors from the truth, 1e-5 a trial, so more than one of R = 40 has a chance below 1e-6.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.stats import binom

from incumbent.loop import route
from incumbent.records import Arm, Routes
from incumbent.stats import sequential
from incumbent.steps.live import simulating, verdict
from incumbent.steps.live.simulating import assigning, counts, running, whole
from incumbent.steps.live.simulating.scenarios import Question, Scenario

RUNS, TRIALS = 40, 1
RARE = 1e-4


def arms(now: Routes) -> Callable[[str], Arm | None]:
    """As requests are assigned."""
    assign = route.Router(now).assign
    return lambda unit: assign(unit).arm


SCENARIOS = {scenario.name: scenario for scenario in simulating.all_of(arms)}
ASKED = [(name, asked) for name, one in SCENARIOS.items() for asked in one.questions if asked.limit is not None]


@pytest.fixture(scope="module")
def drawn() -> dict[str, running.Columns]:
    """Every scenario's runs, each drawn once."""
    return {
        name: running.some(one.draw, name, 5, 0, TRIALS if one.most else RUNS) for name, one in SCENARIOS.items()
    }


@pytest.mark.parametrize(("name", "question"), ASKED, ids=[f"{name}-{question.of}" for name, question in ASKED])
def test_every_row_is_inside_its_limit(name: str, question: Question, drawn: dict[str, running.Columns]) -> None:
    """By bounds that chance misses less often than once in 10,000 tables."""
    values, limit = drawn[name][question.of], question.limit
    assert limit is not None
    n = len(values)
    if question.kind == "share" and question.at_most:
        assert values.sum() <= max(binom.ppf(1.0 - RARE, n, limit), 1.0)
    elif question.kind == "share":
        assert values.sum() >= binom.ppf(RARE, n, limit)
    elif question.kind == "median":
        assert (values > limit).sum() <= binom.ppf(1.0 - RARE, n, 0.5)
    else:
        assert values.mean() <= limit + 3.72 * values.std(ddof=1) / np.sqrt(n)


@pytest.mark.parametrize(
    ("name", "naive", "least"),
    [("aa-0.1", "z", 0.3), ("aa-lognormal", "z", 0.45), ("ramp", "naive", 0.99), ("users", "naive", 0.2),
     ("late-labels-5", "naive", 0.6), ("hardest", "naive", 0.95), ("whole-failing", "z", 0.95)],
)  # fmt: skip
def test_naive_rules_are_fooled(name: str, naive: str, least: float, drawn: dict[str, running.Columns]) -> None:
    """What the trial guards against is really there: about so often, and not below it once in 10,000 times."""
    assert drawn[name][naive].sum() >= binom.ppf(RARE, RUNS, least)


def test_a_broken_split_is_seen_before_it_wins(drawn: dict[str, running.Columns]) -> None:
    """Invalid more often than promoted; without the check of the split it is promoted in most runs (about 75 %)."""
    found = drawn["whole-broken"]
    assert found["invalid"].sum() > found["promoted"].sum()
    assert found["blind"].sum() >= binom.ppf(RARE, RUNS, 0.7)


# --- a check that can fail: break the product, and a row says MISSED


def missed(name: str, runs: int = 100) -> set[str]:
    """What misses its limit in one scenario."""
    rows = running.run([SCENARIOS[name]], runs=runs, seed=1)
    return {row.what for row in rows if not row.holds}


def test_bounds_for_one_look_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounds of a z test: equal challengers are promoted, in the sequence by itself and through the verdict."""

    def fixed(n: Any, error: Any, *, alpha: float, n_star: float, side: str) -> Any:
        return np.where(np.isfinite(error), error, np.inf) * 1.645

    monkeypatch.setattr(sequential, "half_widths", fixed)
    assert missed("aa-0.1") == missed("aa-lognormal") == {"promoted"}
    assert "promoted" in missed("whole-equal")


def test_bounds_that_are_too_wide_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Safe, and of no use: half as wide again, and the power is not what was planned."""
    half_widths = sequential.half_widths
    monkeypatch.setattr(sequential, "half_widths", lambda *a, **k: 1.5 * half_widths(*a, **k))
    assert "promoted" in missed("power") and "promoted" in missed("whole-better")


@pytest.mark.parametrize(
    ("name", "blind", "what"),
    [("whole-failing", {"guardrails": ()}, "promoted"), ("whole-broken", {"split_p": 1.0}, "invalid"),
     ("whole-worse", {"lower": 1.0}, "promoted")],
)  # fmt: skip
def test_a_verdict_that_does_not_look_is_seen(
    name: str, blind: dict[str, Any], what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At guardrails, at the split, or at the bound."""
    true = verdict.verdict
    monkeypatch.setattr(verdict, "verdict", lambda reading, live: true(replace(reading, **blind), live))
    assert missed(name, 40) == {what}


def test_events_that_are_counted_twice_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Failures of one unit as five events: healthy challengers are rolled back. Evidence that is too weak: sick ones
    stay for too long, and a broken split."""
    log_e = sequential.log_e_shares
    monkeypatch.setattr(sequential, "log_e_shares", lambda x1, x0, *rest: log_e(5 * x1, 5 * x0, *rest))
    assert missed("late-even") == {"rolled back"}
    monkeypatch.setattr(sequential, "log_e_shares", lambda *counted: log_e(*counted) / 2.0)
    assert missed("errors-0.02") == {"rolled back after"}
    bayes = sequential.log_bayes_factors_split
    monkeypatch.setattr(sequential, "log_bayes_factors_split", lambda *counted: bayes(*counted) / 2.0)
    assert missed("split-55") == {"invalid after"}


@pytest.mark.parametrize(
    ("salt", "what"),
    [(lambda now: f"{now.trial.name}/{now.trial.enrolled}", {"somebody changed arm"}),
     (lambda now: "one for all", {"trials independent"})],
)  # fmt: skip
def test_an_assignment_that_shuffles_or_repeats_is_seen(
    salt: Callable[[Any], str], what: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A salt that changes with the enrolled share, and one that never changes."""

    def broken(now: Any) -> Callable[[str], Arm | None]:
        enrol, arm = (route.share_of(salt(now), name) for name in ("enrol", "arm"))
        enrolled = now.trial.enrolled
        return lambda unit: None if enrol(unit) >= enrolled else "challenger" if arm(unit) < 0.5 else "incumbent"

    monkeypatch.setattr(assigning, "UNITS", 20_000)
    (scenario,) = assigning.all_of(broken)
    rows = running.run([replace(scenario, most=2)], runs=2, seed=1)
    assert {row.what for row in rows if not row.holds} == what


def test_one_hash_for_enrolment_and_arm_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then those who are enrolled first are all of one arm."""

    def broken(now: Any) -> Callable[[str], Arm | None]:
        share, enrolled = route.share_of(now.trial.salt, "enrol"), now.trial.enrolled
        return lambda unit: None if share(unit) >= enrolled else "challenger" if share(unit) < 0.5 else "incumbent"

    monkeypatch.setattr(assigning, "UNITS", 20_000)
    (scenario,) = assigning.all_of(broken)
    rows = running.run([replace(scenario, most=1)], runs=1, seed=1)
    assert {row.what for row in rows if not row.holds} == {"arm within 4 s.e.", "enrolment tells no arm"}


# --- what is simulated is what runs


def test_settings_are_those_of_a_new_project() -> None:
    """Guardrails share half of the rollback budget; the trial is the default one, with a latency budget."""
    assert pytest.approx(0.02 / 2 / 2) == counts.HARM
    assert replace(whole.LIVE, latency_budget_ms=0.0) == type(whole.LIVE)()


def test_every_scenario_has_a_name_of_its_own_and_can_be_handed_to_a_process() -> None:
    import pickle

    assert len(SCENARIOS) == len(simulating.all_of(arms)) > 30
    for scenario in SCENARIOS.values():
        assert isinstance(pickle.loads(pickle.dumps(replace(scenario, draw=scenario.draw))), Scenario)
