"""Are the arms what they should be? Their shares of the units, units in two arms, labels that come from one arm only.

In: a trial and its sums. Out: plain numbers with the smallest p of all looks. What they mean for the verdict stands in
`verdict`. Formulas in `stats.sequential`: Lindon & Malek, arXiv 2011.03567.
"""

import math
from collections.abc import Mapping
from typing import Any

from incumbent.records import Json, Trial
from incumbent.stats import sequential
from incumbent.steps.live.guardrails import rate
from incumbent.steps.live.measures import ARMS, Arms
from incumbent.steps.live.verdict import SPLIT_SUSPECT, Guardrail
from incumbent.storage.base import TrialSums

LABEL_PRIOR, MISSING_PRIOR = 100.0, 10.0
"""In events: units with a label are many, those without one are as rare as errors."""
MATURED = "matured"
"""The sum whose units are those with a row whose window has closed (`sums`)."""


def split_check(trial: Trial, arms: Arms, sums: TrialSums, past: Mapping[str, Any]) -> dict[str, Json]:
    """Do the arms have their shares of the units, and of those with a label? Over two or three arms."""
    shares = trial.shares
    counts = [[getattr(arms[arm], of) for arm in shares] for of in ("units", "labelled_units")]
    log_e = [sequential.log_bayes_factor_split(one, list(shares.values())) for one in counts]
    seen = sum(counts[0]) - sums.both_arms  # a unit in two arms is counted in each
    return {
        "arms": list(shares),
        "units": counts[0],
        "labelled_units": counts[1],
        "shares": list(shares.values()),
        "p": min(past.get("split", {}).get("p", 1.0), sequential.always_valid_p(log_e)),
        "log_e": log_e,
        "both_arms": rate(sums.both_arms, seen) or 0.0,
    }


def labels(trial: Trial, arms: Arms, past: Mapping[str, Any]) -> Guardrail:
    """Do labels come from both arms alike? Then a unit with one falls to the challenger as often as its share, and so
    does a unit without one (of those that had a row whose window has closed): the mean of the two e-values, both ways.
    Suspect labels block a promotion; they prove no harm."""
    share = trial.share / (1.0 - trial.called)
    units = {arm: arms[arm].labelled_units for arm in ARMS}
    matured = {arm: arms[arm].moments[MATURED].n if MATURED in arms[arm].moments else units[arm] for arm in ARMS}
    without = {arm: max(matured[arm] - units[arm], 0) for arm in ARMS}
    each = [
        sequential.log_e_share(of["challenger"], of["incumbent"], share, prior, one_sided=False)
        for of, prior in ((units, LABEL_PRIOR), (without, MISSING_PRIOR))
    ]
    log_e = float(max(each) + math.log((1.0 + math.exp(min(each) - max(each))) / 2.0))
    before = next((one["p"] for one in past.get("guardrails", ()) if one["name"] == "labels"), 1.0)
    p = min(before, sequential.always_valid_p([log_e]))
    covered: dict[str, float | None] = {arm: rate(arms[arm].labelled, arms[arm].matured) for arm in ARMS}
    return Guardrail(
        "labels",
        harm=False,
        cleared=p >= SPLIT_SUSPECT,
        said=f"labels that come from both arms alike ({_percent(covered['challenger'])} of the challenger's answers "
        f"have one, {_percent(covered['incumbent'])} of the incumbent's; p = {p:.2g})",
        numbers={
            "unit": "share of answers with a label",
            **covered,
            "lower": None,
            "upper": None,
            "margin": None,
            "units": [units[arm] for arm in ARMS],
            "units_without": [without[arm] for arm in ARMS],
            "log_e": log_e,
            "p": p,
        },
    )


def _percent(share: float | None) -> str:
    return "none" if share is None else f"{100 * share:.3g} %"
