"""One look at a trial: the log's sums at a mark, judged under the settings of that moment.

In: the log, the ledger, a trial. Out: evidence, and the bytes of its settings, from which the same look can be made
again at any later time. Records and decides nothing: `trials` does.
"""

import json
from dataclasses import dataclass, field, replace
from typing import Any

from incumbent import config as configuration
from incumbent.config import Config
from incumbent.errors import StoreDamaged
from incumbent.loop.fold import evidence_from_dict
from incumbent.records import SECOND, Event, Evidence, Micros, Trial
from incumbent.stats import metrics
from incumbent.stats.metrics import Metric
from incumbent.steps.live import looks, sums
from incumbent.steps.live.trial import BLOCK, judge_shadow, judge_split
from incumbent.storage.base import Blobs, Ledger, Log, Mark

SETTLED: Micros = 600 * SECOND
"""Shadow calls are counted once their row is so old: by then they have come."""
HELD_BY = ("EvidenceRecorded", "TrialDecided", "Promoted")


@dataclass(frozen=True, slots=True)
class Rules:
    """Everything but the log that a look follows from."""

    trial: Trial
    live: configuration.Live
    metric: Metric

    def to_bytes(self) -> bytes:
        """Canonical JSON; its sha256 is what the evidence names (`numbers["settings"]`)."""
        return looks.settings(self.trial, self.live, self.metric)

    @classmethod
    def from_bytes(cls, settings: bytes) -> "Rules":
        """What `to_bytes` wrote, in this release or an earlier one (a setting that is new has its default)."""
        found = json.loads(settings)
        live = configuration.live_of(found["live"])
        return cls(Trial(**found["trial"]), live, metrics.get(found["metric"]["name"], found["metric"]["kind"]))


def rules(trial: Trial, config: Config, metric: Metric, *, latency_decides: bool = True) -> Rules:
    """The rules of this moment. `live.latency_budget_ms` is `plan.latency_budget_ms` where it is not set, and 0 where
    latency decides nothing (a rehearsal: what it decides must not depend on how busy a machine is)."""
    budget = config.live.latency_budget_ms or config.plan.latency_budget_ms
    return Rules(trial, replace(config.live, latency_budget_ms=budget if latency_decides else 0.0), metric)


def now(log: Log, under: Rules, at: Micros, before: Evidence | None) -> Evidence:
    """A look at the present."""
    if under.trial.mode == "split":
        found = log.trial_sums(sums.plan(under.trial, under.live), at)
        return judge_split(under.trial, found, under.live, under.metric, at, before=before)
    return _shadow(log, under, log.mark(at, [under.trial.incumbent, under.trial.challenger]), at, at, before)


def again(
    log: Log, under: Rules, mark: Mark, at: Micros, before: Evidence | None, until: Micros | None = None
) -> Evidence:
    """A look at a past mark, from scratch. `at` is the time that it is judged at (days, deadline); `until`: rows from
    then on are none of the trial's (a shadow that has ended)."""
    if under.trial.mode == "split":
        found = log.trial_sums_at(sums.plan(under.trial, under.live), mark)
        return judge_split(under.trial, found, under.live, under.metric, at, before=before)
    return _shadow(log, under, mark, at, mark.now if until is None else min(until, mark.now), before)


def _shadow(log: Log, under: Rules, mark: Mark, at: Micros, until: Micros, before: Evidence | None) -> Evidence:
    trial, live = under.trial, under.live
    since, matured = trial.phase_started_at, min(until, mark.now - sums.window(live))
    blocks = log.pair_sums(
        trial.incumbent, trial.challenger, BLOCK, since, matured, mark, budget_us=sums.budget_us(live)
    )
    failures = log.shadow_failures(trial.challenger, since, max(min(until, mark.now - SETTLED), since))
    return judge_shadow(trial, blocks, live, under.metric, at, failures=failures, mark=mark, before=before)


def kept(blobs: Blobs, evidence: Evidence) -> Rules:
    """The rules that a recorded look names. StoreDamaged where they are not there or were changed."""
    digest = str(evidence.numbers["settings"])
    try:
        return Rules.from_bytes(blobs.get(digest))
    except KeyError:
        raise StoreDamaged(
            f"found no settings {digest[:12]}… that a look of trial {evidence.numbers['trial']} names, expected a blob"
        ) from None


def recorded(events: list[Event]) -> list[tuple[Event, Evidence]]:
    """Every look at a split or shadow that is on the ledger, oldest first."""
    found = [(event, evidence_from_dict(event.data["evidence"])) for event in events if event.data.get("evidence")]
    return [of for of in found if of[1].step == "live" and of[1].numbers.get("mode") in ("split", "shadow")]


@dataclass(slots=True)
class Seen:
    """The last recorded look at each trial (and watch). Reads only what the ledger got since the last question."""

    ledger: Ledger
    _after: int = 0
    _last: dict[str, Evidence] = field(default_factory=dict)

    def last(self, trial: str) -> Evidence | None:
        for event in self.ledger.events(after=self._after, types=["EvidenceRecorded"]):
            found: Any = event.data.get("evidence", {})
            if found.get("numbers", {}).get("trial"):
                self._last[found["numbers"]["trial"]] = evidence_from_dict(found)
            self._after = event.sequence
        return self._last.get(trial)
