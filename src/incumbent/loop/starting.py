"""May this version be tried, in which mode, on which share of the units? What every door asks before a trial starts.

In: the settings, the log before, and what was asked for. Out: the event TrialStarted, or DecisionRefused. Opens no
version: whoever calls lets it prove its golden rows first.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from incumbent.config import Config
from incumbent.errors import DecisionRefused
from incumbent.loop import promote
from incumbent.loop.caps import caps
from incumbent.records import Event, Micros, Roles
from incumbent.stats import metrics
from incumbent.storage.opening import Facts

Mode = Literal["shadow", "split"]
HALF, THIRD = 1 / 2, 1 / 3


@dataclass(frozen=True, slots=True)
class Terms:
    """How a trial begins. Shares are of the units that take part; the rest of them is the incumbent's arm."""

    mode: Mode
    enrolled: float
    share: float = HALF
    called: float = 0.0


def terms(config: Config, mode: Mode | None = None, enrolled: float | None = None) -> Terms:
    """What was asked for, or what the settings say: a split starts with the first step of `live.enrol`, in three arms
    where `live.third_arm` is set; a shadow scores every row.

    DecisionRefused for a shadow although the label depends on what is served or another measure decides, and for a
    split without `task.unit`.
    """
    live = config.live
    chosen: Mode = mode or ("shadow" if live.mode == "both" else live.mode)
    if chosen == "shadow" and live.label_depends_on_prediction:
        raise DecisionRefused(
            "live.label_depends_on_prediction is set: what a shadow would have caused is not known; use mode split."
        )
    primary = [one.name for one in live.measure if one.role == "primary"]
    if chosen == "shadow" and primary:
        raise DecisionRefused(
            f"live.measure {primary[0]} is primary, and what a shadow would have caused of it is not known; use mode "
            "split."
        )
    if chosen == "split" and not config.task.unit:
        raise DecisionRefused("a split needs somebody to assign: set task.unit, or use mode shadow.")
    if chosen == "shadow":
        return Terms("shadow", 1.0)
    share = live.enrol[0] if enrolled is None else enrolled
    return Terms("split", share, THIRD, THIRD) if live.third_arm else Terms("split", share)


def start(
    facts: Facts,
    now: Roles,
    config: Config,
    version: str,
    *,
    at: Micros,
    actor: str,
    reason: str,
    mode: Mode | None = None,
    enrolled: float | None = None,
    capped: Mapping[str, float] | None = None,
) -> Event:
    """Start a trial of `version` against the incumbent, on the terms that were asked for. What one outcome of a split
    counts at most is fixed now: `capped`, or what the past says (None: `caps` reads it)."""
    on = terms(config, mode, enrolled)
    metric = metrics.get(config.task.metric, config.task.kind)
    found = capped
    if found is None:
        found = caps(facts.log, config.live, metric, at) if on.mode == "split" else {}
    return promote.start_trial(
        facts.ledger,
        now,
        version,
        at=at,
        actor=actor,
        mode=on.mode,
        enrolled=on.enrolled,
        share=on.share,
        called=on.called,
        caps=found,
        reason=reason,
    )
