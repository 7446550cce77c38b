"""Would another policy have earned more on what was logged? An estimate with its interval, or a refusal that says why.

In: rewards, the weights of the new policy (and of what it is compared with), units, and what a reward model expects,
where there is one. Out: one Evidence: better, worse or not_enough_data. Reads no log. Formulas in `stats.offpolicy`.

Refused, in this order: an effective sample size below 100, or below 1 % of the rows (units where there are some): one
unlikely row would speak for all; a mean weight that is shown below .95 (the new policy does what was never logged) or
above 1.05 (the logged probabilities are not those of this log); rewards that differ from the commonest one worth fewer
than 20 rows. What is shown to lack below those 5 % widens the interval: its rewards may be any that were seen. With an
effective size of 100 to 200 and rewards of a rare kind, 95 % intervals held 92 to 95 % of 2,000 drawn truths.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from incumbent.records import Evidence, Json, Micros
from incumbent.stats import offpolicy
from incumbent.stats.metrics import Floats
from incumbent.stats.offpolicy import Estimate, Weights

Integers = npt.NDArray[np.int64]

ALPHA = 0.05
MIN_EFFECTIVE = 100
MIN_SHARE = 0.01
UNSUPPORTED = 0.05
MIN_REWARDED = 20
WORTH = 0.1
"""The share of the reference's mean that "what would do" is said for."""
POWER = 0.8


@dataclass(frozen=True, slots=True, eq=False)
class Logged:
    """Logged decisions, arrays (n,): `weights` are new over logged probability of what was done.

    `against` are the weights of the policy to compare with (None: what was logged), `groups` numbers rows that depend
    on each other (None: each stands for itself). `expected`: what a reward model that did not see the row expects of
    what was done, and of the new policy. `lower_is_better`: the rewards are losses.
    """

    rewards: Floats
    weights: Floats
    against: Floats | None = None
    groups: Integers | None = None
    expected: tuple[Floats, Floats] | None = None
    lower_is_better: bool = False


def lookback(
    logged: Logged, *, subject: str, reference: str, at: Micros, reward: str = "reward", alpha: float = ALPHA
) -> Evidence:
    """What `subject` would have earned a row, against `reference`, on the same rows.

    Doubly robust where a model's estimates are given, else self-normalised. An interval of the difference that holds 0
    is not_enough_data to say which is better; the estimate is told all the same. A refusal tells none.
    """
    weights = offpolicy.weigh(logged.weights, alpha=alpha, groups=logged.groups)
    rewarded = _rewarded(logged.rewards, logged.weights)
    refused = _refused(weights, rewarded, "rows" if logged.groups is None else "units")
    numbers: dict[str, Json] = {
        "reward": reward,
        "rows": weights.n,
        "units": weights.n_groups if logged.groups is not None else None,
        "effective": weights.effective,
        "largest_weight": weights.largest,
        "mean_weight": [weights.mean, weights.lower, weights.upper],
        "rewarded": rewarded,
        "lower_is_better": logged.lower_is_better,
        "refused": [why for why, _ in refused],
    }
    if refused:
        why, do = refused[0]
        sentence = f"what {subject} would have earned cannot be said: {why}. {do}"
        return _evidence("not_enough_data", sentence, subject, reference, at, numbers)
    found = _estimates(logged, alpha)
    new = found["doubly robust" if logged.expected else "self-normalised"]
    other = _reference(logged, alpha)
    lacking = max(1.0 - weights.mean, 0.0) if weights.upper < 1.0 else 0.0
    return _compared(new, other, found, numbers, subject, reference, at, logged, lacking)


def side_by_side(
    new: Floats,
    logged: Floats,
    *,
    subject: str,
    reference: str,
    at: Micros,
    reward: str = "reward",
    alpha: float = ALPHA,
) -> Evidence:
    """What two policies earned, each on rows of its own: no look back, but a difference of two means (Welch)."""
    means = [offpolicy.mean(of, alpha=alpha) for of in (new, logged)]
    rewarded = [_rewarded(of, np.ones(len(of))) for of in (new, logged)]
    error = math.hypot(means[0].standard_error, means[1].standard_error)
    value, half = means[0].value - means[1].value, float(ndtri(1.0 - alpha / 2.0)) * error
    numbers: dict[str, Json] = {
        "reward": reward,
        "rows": [len(new), len(logged)],
        "rewarded": rewarded,
        "value": _shown(means[0]),
        "reference": _shown(means[1]),
        "difference": {"value": value, "lower": value - half, "upper": value + half},
        "refused": [],
    }
    said = f"{subject} earned {means[0].value:.4g} a row on its own rows, {reference} {means[1].value:.4g}"
    if min(rewarded) < MIN_REWARDED:
        numbers["refused"] = [f"{min(rewarded):.0f} rows have a reward that differs from the commonest one"]
        sentence = f"{said}, of {numbers['refused'][0]}, expected {MIN_REWARDED}"
        return _evidence("not_enough_data", sentence, subject, reference, at, numbers)
    word, tail = _verdict(value - half, value + half, False)
    more = "" if word != "not_enough_data" else f" {_would_do(min(len(new), len(logged)), error, means[1].value)}"
    sentence = f"{said}: a difference of {value:+.3g} ({value - half:+.3g} to {value + half:+.3g}), {tail}.{more}"
    return _evidence(word, sentence, subject, reference, at, numbers)


# --- parts


def _refused(weights: Weights, rewarded: float, kind: str) -> list[tuple[str, str]]:
    """Why nothing is said, and what would do. `kind`: rows, or units where they depend on each other."""
    found = []
    n, effective = weights.n_groups, weights.effective
    if effective < MIN_EFFECTIVE or effective < MIN_SHARE * n:
        why = (
            f"{n:,} {kind} are worth {_count(effective)} of the new policy (effective sample size; the largest weight "
            f"is {weights.largest:.3g}), expected {MIN_EFFECTIVE} and {MIN_SHARE:.0%} of the {kind}"
        )
        found.append((why, _more(n, effective, kind)))
    if weights.upper < 1.0 - UNSUPPORTED:
        why = (
            f"at least {1.0 - weights.upper:.0%} of what the new policy does was never logged (the weights have a mean "
            f"of {weights.mean:.3g}, expected 1)"
        )
        found.append((why, "Log some of those decisions first: a small split, or a little chance in what is done."))
    if weights.lower > 1.0 + UNSUPPORTED:
        why = f"the weights have a mean of {weights.mean:.3g}, expected 1: the probabilities are not those of this log"
        found.append((why, "Look at where the logged probabilities come from."))
    if rewarded < MIN_REWARDED:
        why = (
            f"the rewards that differ from the commonest one are worth {_count(rewarded)} rows of the new policy, "
            f"expected {MIN_REWARDED}"
        )
        do = f"About {_times(weights.n, MIN_REWARDED, rewarded)} rows would do." if rewarded > 0.0 else ""
        found.append((why, do or "Log until there are some."))
    return found


def _more(n: int, effective: float, kind: str) -> str:
    if effective <= 0.0:
        return "The new policy does nothing that was logged: log some of its decisions first."
    do = "a small split, or more chance in what is done, is the way to learn it"
    if effective < MIN_SHARE * n:
        return f"More {kind} like these will not do: {do}."
    return f"About {_times(n, MIN_EFFECTIVE, effective)} {kind} like these would do; {do} sooner."


def _count(rows: float) -> str:
    return f"{rows:,.0f}" if rows >= 10.0 else f"{rows:.1f}"


def _times(n: int, wanted: float, found: float) -> str:
    return f"{math.ceil(n * wanted / found):,}"


def _rewarded(rewards: Floats, weights: Floats) -> float:
    """Of the rows whose reward differs from the commonest one: how many rows of the new policy they are worth."""
    values, counts = np.unique(rewards, return_counts=True)
    kept = weights[rewards != values[np.argmax(counts)]]
    squares = float(kept @ kept)
    return float(kept.sum() ** 2 / squares) if squares else 0.0


def _estimates(logged: Logged, alpha: float) -> dict[str, Estimate]:
    r, w, groups = logged.rewards, logged.weights, logged.groups
    found = {
        "inverse propensity": offpolicy.inverse_propensity(r, w, alpha=alpha, groups=groups),
        "self-normalised": offpolicy.self_normalised(r, w, alpha=alpha, groups=groups),
    }
    if logged.expected is not None:
        of_logged, of_new = logged.expected
        found["doubly robust"] = offpolicy.doubly_robust(r, w, of_logged, of_new, alpha=alpha, groups=groups)
    return found


def _reference(logged: Logged, alpha: float) -> Estimate:
    if logged.against is None:
        return offpolicy.mean(logged.rewards, alpha=alpha, groups=logged.groups)
    return offpolicy.self_normalised(logged.rewards, logged.against, alpha=alpha, groups=logged.groups)


def _compared(
    new: Estimate,
    other: Estimate,
    found: dict[str, Estimate],
    numbers: dict[str, Json],
    subject: str,
    reference: str,
    at: Micros,
    logged: Logged,
    lacking: float,
) -> Evidence:
    """`lacking` is the share of the new policy that was never logged: its rewards may be any (Manski, 1990)."""
    difference = new.minus(other)
    lower = difference.lower - lacking * max(new.value - float(logged.rewards.min()), 0.0)
    upper = difference.upper + lacking * max(float(logged.rewards.max()) - new.value, 0.0)
    word, tail = _verdict(lower, upper, logged.lower_is_better)
    numbers |= {
        "estimator": next(name for name, one in found.items() if one is new),
        "estimates": {name: _shown(one) for name, one in found.items()},
        "value": _shown(new),
        "reference": _shown(other),
        "difference": {**_shown(difference), "lower": lower, "upper": upper},
        "lacking": lacking,
    }
    if word == "not_enough_data":
        tail += f". {_would_do(len(logged.rewards), difference.standard_error, other.value)}"
    sentence = (
        f"{subject} would have had a mean {numbers['reward']} of {new.value:.4g} ({new.lower:.4g} to {new.upper:.4g}), "
        f"{reference} had {other.value:.4g}: a difference of {difference.value:+.3g} ({lower:+.3g} to "
        f"{upper:+.3g}), {tail}"
    )
    return _evidence(word, sentence, subject, reference, at, numbers)


def _verdict(lower: float, upper: float, lower_is_better: bool) -> tuple[str, str]:
    if lower <= 0.0 <= upper:
        return "not_enough_data", "not enough data to say which is better"
    better = (upper < 0.0) if lower_is_better else (lower > 0.0)
    return ("better", "better") if better else ("worse", "worse")


def _would_do(n: int, error: float, level: float) -> str:
    """The rows that show a difference of a tenth of the reference's mean with a power of 80 %."""
    wanted = WORTH * abs(level)
    if not wanted > 0.0 or not math.isfinite(error) or error == 0.0:
        return "More rows of the same kind make the interval narrower: four times as many halve it."
    z = float(ndtri(0.975) + ndtri(POWER))
    return f"About {math.ceil(n * (z * error / wanted) ** 2):,} rows show a difference of {WORTH:.0%}, {wanted:.2g}"


def _shown(one: Estimate) -> dict[str, Json]:
    return {"value": one.value, "standard_error": one.standard_error, "lower": one.lower, "upper": one.upper}


def _evidence(
    word: str, sentence: str, subject: str, reference: str, at: Micros, numbers: dict[str, Json]
) -> Evidence:
    ended = sentence if sentence.endswith(".") else f"{sentence}."
    return Evidence("live", subject, word, ended, at, reference, {"lookback": numbers})
