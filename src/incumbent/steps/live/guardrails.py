"""Does the trial do harm that the loss does not show? The split itself, and answers that failed.

In: sums by unit, or counts of shadow calls. Out: plain numbers with `p`, or `harm` and `cleared`. What they
mean for the verdict stands in `verdict`. Formulas in `stats.sequential` and `stats.share`.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from incumbent.config import Live
from incumbent.records import Json, Trial
from incumbent.stats import sequential
from incumbent.stats.share import upper_rate_sequence
from incumbent.steps.live.verdict import Guardrail
from incumbent.storage.base import UnitSum

ARMS = ("challenger", "incumbent")
ERROR_PRIOR = 10.0
HARM_MARGIN = 2.0
"""Failures are shown harmless when the challenger's rate is shown below this many times the incumbent's."""


Arms = Mapping[str, Sequence[UnitSum]]


def split_check(trial: Trial, arms: Arms, with_label: Arms, past: Mapping[str, Any]) -> dict[str, Json]:
    """Do the arms have their shares of the units, and of those with a label? The smallest p of all looks."""
    shares = [trial.share, 1.0 - trial.share]
    seen, labelled = [[len(of[arm]) for arm in ARMS] for of in (arms, with_label)]
    before = past.get("split", {}).get("p", 1.0)
    log_e = [sequential.log_bayes_factor_split(counts, shares) for counts in (seen, labelled)]
    names = [{unit.unit for unit in arms[arm]} for arm in ARMS]
    return {
        "units": seen,
        "labelled_units": labelled,
        "share": trial.share,
        "p": min(before, sequential.always_valid_p(log_e)),
        "log_e": log_e,
        "both_arms": share_of(len(names[0] & names[1]), len(names[0] | names[1])) or 0.0,
    }


def unit_failures(trial: Trial, arms: Arms, live: Live) -> dict[str, Json]:
    """Failed answers by arm. What is tested are units with a failure: the arm of a unit is drawn once, so the
    failures of one unit are no independent events."""
    failed = {arm: sum(unit.failed for unit in arms[arm]) for arm in ARMS}
    hit = [sum(unit.failed > 0 for unit in arms[arm]) for arm in ARMS]
    answers = sum(max(unit.rows, unit.failed) for unit in arms["challenger"])
    log_e = sequential.log_e_share(hit[0], hit[1], trial.share, ERROR_PRIOR)
    below = sequential.log_e_share_below(hit[0], hit[1], trial.share, ERROR_PRIOR, margin=HARM_MARGIN)
    upper = upper_rate_sequence(failed["challenger"], answers, alpha=live.alpha)
    return {
        **failed,
        "units_hit": hit,
        "log_e": log_e,
        "upper_rate": upper,
        "harm": log_e >= -math.log(live.alpha_roll_back / 2),
        "cleared": below >= -math.log(live.alpha) or upper <= live.tolerated_rate,
    }


def shadow_failures(failures: tuple[int, int], live: Live) -> dict[str, Json]:
    """A shadow's failures have no control: they harm when the rate is shown above `tolerated_rate`, and are
    cleared when it is shown to be no more than that."""
    failed, calls = failures
    lower = 1.0 - upper_rate_sequence(calls - failed, calls, alpha=live.alpha_roll_back / 2) if calls else 0.0
    upper = upper_rate_sequence(failed, calls, alpha=live.alpha)
    return {
        "challenger": failed,
        "calls": calls,
        "lower_rate": lower,
        "upper_rate": upper,
        "harm": lower > live.tolerated_rate,
        "cleared": upper <= live.tolerated_rate,
    }


def errors(found: Mapping[str, Any], live: Live) -> Guardrail:
    """Failed answers as a guardrail."""
    said = (
        "it is shown to fail more often than is allowed"
        if found["harm"]
        else f"a rate of at most {100 * live.tolerated_rate:.2g} %"
    )
    return Guardrail("errors", found["harm"], found["cleared"], said, dict(found))


def share_of(part: int, whole: int) -> float | None:
    return part / whole if whole else None
