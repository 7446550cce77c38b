"""What does the trial say now? A pure function of what was read off the sums; the first match wins.

In: a Reading (bounds that hold at every look, guardrails, what is missing) and the settings of [live].
Out: one of invalid, roll_back, promote, stop, continue, with the reason in words. Undecided means that the
incumbent stays. Computes no statistic and acts on nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from incumbent.config import Live
from incumbent.records import Json

Word = Literal["invalid", "roll_back", "promote", "stop", "continue"]

SPLIT_INVALID = 0.001
SPLIT_SUSPECT = 0.01
BOTH_ARMS = 0.01


@dataclass(frozen=True, slots=True)
class Guardrail:
    """What must not be harmed while the primary metric gains.

    `harm`: the challenger is shown to do harm, at this guardrail's part of `live.alpha_roll_back`. `cleared`: it is
    shown to do none (within its margin), without which nothing is promoted. `said`: where harm is shown, what was found
    (stands after the name); else what a promotion needs of it (stands after "needs"). `numbers` hold every statistic
    behind it.
    """

    name: str
    harm: bool = False
    cleared: bool = True
    said: str = ""
    numbers: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reading:
    """One look at a trial. Gains are in units of the primary measure, positive is better for the challenger.

    `lower` and `upper` are one-sided bounds at `live.alpha`, `harm_upper` an upper bound at the metric's
    part of `live.alpha_roll_back`; all hold at every look, and are infinite before the first valid one.
    `split_p` is the always-valid p-value of the split (1 in shadow), `both_arms` the share of units seen in
    both arms. `missing` says what a decision still waits for, one phrase each; `outlook` how far off the gain is as it
    looks now. `latched`: the challenger's breaker stays open. `n` units (or blocks) were compared, at most `n_max` will
    be (None: the deadline alone ends the trial).
    """

    estimate: float
    lower: float
    upper: float
    harm_upper: float
    days: float
    split_p: float = 1.0
    both_arms: float = 0.0
    guardrails: tuple[Guardrail, ...] = ()
    missing: tuple[str, ...] = ()
    outlook: str = ""
    latched: bool = False
    n: int = 0
    n_max: int | None = None


def verdict(reading: Reading, live: Live) -> tuple[Word, str]:
    """The verdict and why, in the order: invalid, roll_back, promote, stop, continue.

    >>> verdict(Reading(estimate=.02, lower=.01, upper=.03, harm_upper=.03, days=9), Live())
    ('promote', 'the gain is at least 0.01')
    """
    decided = _invalid(reading) or _harmful(reading) or _better(reading, live) or _over(reading, live)
    return decided or _open(reading, live)


def _invalid(reading: Reading) -> tuple[Word, str] | None:
    if reading.split_p <= SPLIT_INVALID:
        return "invalid", f"the arms do not have their shares of the units (p = {reading.split_p:.2g})"
    if reading.both_arms > BOTH_ARMS:
        return "invalid", f"{100 * reading.both_arms:.2g} % of the units were seen in both arms"
    return None


def _harmful(reading: Reading) -> tuple[Word, str] | None:
    if reading.harm_upper < 0.0:
        return "roll_back", f"the challenger is shown worse, by at least {-reading.harm_upper:.3g}"
    for guardrail in reading.guardrails:
        if guardrail.harm:
            return "roll_back", f"{guardrail.name}: {guardrail.said}"
    if reading.latched:
        return "roll_back", "the challenger's breaker opened again and again, and stays open"
    return None


def _better(reading: Reading, live: Live) -> tuple[Word, str] | None:
    if reading.lower > live.min_gain and not waits_for(reading, live):
        return "promote", f"the gain is at least {reading.lower:.3g}"
    return None


def _over(reading: Reading, live: Live) -> tuple[Word, str] | None:
    wanted = max(live.smallest_effect, live.min_gain)
    if wanted > 0.0 and reading.upper < wanted:
        return "stop", f"the gain is at most {reading.upper:.3g}, less than the {wanted:.3g} that is worth it"
    if reading.days >= live.max_days:
        return "stop", f"undecided after {live.max_days} days: the incumbent stays"
    if _spent(reading, live):
        return "stop", f"undecided after {reading.n:,} of at most {reading.n_max:,}: the incumbent stays"
    return None


def _spent(reading: Reading, live: Live) -> bool:
    """Is the planned sample used up? Not before the least run is over, and not while a gain that is shown waits for its
    guardrails: then the deadline ends the trial."""
    full = reading.n_max is not None and reading.n >= reading.n_max
    return full and reading.days >= live.min_days and not reading.missing and reading.lower <= live.min_gain


def _open(reading: Reading, live: Live) -> tuple[Word, str]:
    waits = waits_for(reading, live)
    if not reading.lower > live.min_gain:
        said = f" ({reading.outlook})" if reading.outlook else ""
        waits = (*waits, f"a gain that is shown above {live.min_gain:.3g}{said}")
    return "continue", f"needs {', '.join(waits)}"


def waits_for(reading: Reading, live: Live) -> tuple[str, ...]:
    """What a promotion waits for, the gain itself aside."""
    waits = list(reading.missing)
    if reading.days < live.min_days:
        days = live.min_days - int(reading.days)
        waits.append(f"{days} whole day{'s' if days > 1 else ''} more")
    if reading.split_p < SPLIT_SUSPECT:
        waits.append(f"a split that is not suspect (p = {reading.split_p:.2g})")
    waits += [one.said or f"{one.name} shown not harmful" for one in reading.guardrails if not one.cleared]
    return tuple(waits)
