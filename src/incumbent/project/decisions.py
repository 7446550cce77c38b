"""What would a version have earned on the project's own log, had it answered everybody?

In: logged rows with the chance of their arm, and the label. Out: one Evidence of `steps.live.lookback`. A version that
was an arm of a split is read off its own rows; another is asked what it would have served, and speaks where that was
served. Writes nothing.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from incumbent.errors import DataError, DecisionRefused, NotEnoughData, RowError
from incumbent.loop.fold import roles as fold
from incumbent.project import traffic
from incumbent.records import SECOND, Evidence, Micros, Trial
from incumbent.runtimes.signature import to_columns
from incumbent.stats.metrics import Floats
from incumbent.steps.live import lookback as step
from incumbent.steps.live.lookback import Logged
from incumbent.storage.base import LoggedRow

if TYPE_CHECKING:
    from incumbent.project.project import Project

HOUR: Micros = 3600 * SECOND
OUTCOMES = ("loss", "label")
UNEVEN = 0.02
Bools = npt.NDArray[np.bool_]


def lookback(project: "Project", version: str, outcome: str | None, now: Micros) -> Evidence:
    """What a version would have earned a row, against the other arm of its last split (or against what was served).

    `outcome` is loss (of what was served; default, where the label does not depend on it) or label (a number, or true
    and false; default where it does). Rows count as in a trial: their window has closed and their label came inside it.
    Rows of a unit are one witness. NotEnoughData, DecisionRefused and DataError say what is lacking.
    """
    project.version(version)
    depends = project.config.live.label_depends_on_prediction
    wanted = outcome or ("label" if depends else "loss")
    if wanted not in OUTCOMES:
        raise DataError(f"--outcome {wanted}: a look back reads {' or '.join(OUTCOMES)} of the logged rows")
    trials = [one for one in _splits(project) if version in (one.challenger, one.incumbent)]
    if trials:
        return _of_arm(project, version, trials[-1], wanted, now)
    if not depends:
        raise DecisionRefused(
            f"{version} was an arm of no split, and need not be: the label does not depend on what is served, so a "
            f"shadow scores it on every row (`incumbent live start {version} --mode shadow`)"
        )
    return _of_choices(project, version, wanted, now)


def _splits(project: "Project") -> list[Trial]:
    """Every split that was started, as it began."""
    found, now = [], fold([])
    for event in project.facts.ledger.events():
        now = fold([event], now)
        if event.type == "TrialStarted" and now.trial is not None and now.trial.mode == "split":
            found.append(now.trial)
    return found


# --- a version that was an arm


def _of_arm(project: "Project", version: str, trial: Trial, wanted: str, now: Micros) -> Evidence:
    """The arm's rows, each weighted by the chance of its arm, stand for all that took part."""
    batches = project.facts.log.scan(trial.started_at, now, known_before=now)
    rows = [_lean(row) for batch in batches for row in batch
            if row.prediction.trial == trial.name and row.prediction.arm is not None]  # fmt: skip
    arm, other = ("challenger", "incumbent") if version == trial.challenger else ("incumbent", "challenger")
    closed, known = _matured(project, rows, now)
    arms = np.array([row.prediction.arm for row in known])
    if not {arm, other} <= set(arms.tolist()):
        raise NotEnoughData(
            f"trial {trial.name} of {trial.challenger} and {trial.incumbent} has {len(rows):,} rows, and not both arms "
            f"have a label whose window of {project.config.live.window_hours:g} hours has closed: wait"
        )
    chance = np.array([row.prediction.propensity for row in known])
    rewards = _losses(project, known) if wanted == "loss" else _labels(known)
    logged = Logged(
        rewards, (arms == arm) / chance, (arms == other) / chance, _units(known), lower_is_better=wanted == "loss"
    )
    against = trial.incumbent if arm == "challenger" else trial.challenger
    evidence = step.lookback(logged, subject=version, reference=against, at=now, reward=wanted)
    return _with_coverage(evidence, {version: arm, against: other}, closed, known)


def _with_coverage(
    evidence: Evidence, arms: dict[str, str], closed: Sequence[LoggedRow], known: Sequence[LoggedRow]
) -> Evidence:
    """The share of each arm's rows that have a label; where they differ, what lacks may differ too."""
    shares = {
        name: sum(row.prediction.arm == arm for row in known) / sum(row.prediction.arm == arm for row in closed)
        for name, arm in arms.items()
    }
    (first, one), (second, two) = shares.items()
    warnings = []
    if abs(one - two) > UNEVEN:
        warnings.append(f"{one:.1%} of {first}'s rows have a label and {two:.1%} of {second}'s: what lacks may differ")
    return replace(evidence, numbers={"lookback": {**evidence.numbers["lookback"], "coverage": shares,
                                                   "warnings": warnings}})  # fmt: skip


# --- a version that never served


def _of_choices(project: "Project", version: str, wanted: str, now: Micros) -> Evidence:
    """The class that the version would have served, where that class was served, over the chance that it was."""
    signature = project.version(version).signature
    if not signature.classifies:
        raise DataError(
            f"{version} was an arm of no split, and its answers are numbers, which never repeat: start a split of it"
        )
    if wanted == "loss":
        raise DataError("--outcome loss: of a version that never served only the label can be looked back for")
    trials = {one.name: one for one in _splits(project)}
    batches = project.facts.log.scan(traffic.began(project, now), now, known_before=now)
    rows = [row for batch in batches for row in batch if row.prediction.fallback_reason is None]
    took_part = [row for row in rows if row.prediction.arm is not None and row.prediction.trial in trials]
    _, known = _matured(project, took_part or rows, now)
    if not known:
        raise NotEnoughData(f"no row of the last {traffic.DAYS} days has a label whose window has closed: wait")
    served = np.array([np.argmax(row.prediction.output) for row in known])
    chance = np.ones(len(known))
    for trial in trials.values():
        mine = np.array([row.prediction.trial == trial.name for row in known])
        if mine.any():
            chance[mine] = _chances(project, trial, [r for r, m in zip(known, mine, strict=True) if m], served[mine])
    same = _classes(project, version, known) == served
    logged = Logged(_labels(known), same / chance, None, _units(known))
    return step.lookback(logged, subject=version, reference="what was served", at=now, reward=wanted)


def _chances(project: "Project", trial: Trial, rows: Sequence[LoggedRow], served: npt.NDArray[np.intp]) -> Floats:
    """The chance that a row of the split was served its class: of one arm, or of both where they say the same."""
    by = {name: _classes(project, name, rows) == served for name in (trial.challenger, trial.incumbent)}
    return np.asarray(
        trial.share * by[trial.challenger] + (1.0 - trial.share) * by[trial.incumbent], dtype=np.float64
    ).clip(min(trial.share, 1.0 - trial.share))  # an answer that its version does not repeat was one arm's all the same


def _classes(project: "Project", version: str, rows: Sequence[LoggedRow]) -> npt.NDArray[np.intp]:
    columns = to_columns([row.prediction.features for row in rows], project.version(version).signature)
    return np.asarray(np.argmax(project.predict(version, columns), axis=1))


# --- rows


def _lean(row: LoggedRow) -> LoggedRow:
    """The row without its features, which are most of it: a split may have a million."""
    return replace(row, prediction=replace(row.prediction, features={}))


def _matured(
    project: "Project", rows: Sequence[LoggedRow], now: Micros
) -> tuple[list[LoggedRow], list[LoggedRow]]:
    """Rows whose window has closed, and those of them whose label came inside it."""
    window = round(project.config.live.window_hours * HOUR)
    closed = [row for row in rows if row.prediction.at + window <= now]
    return closed, [row for row in closed if row.known_at is not None and row.known_at < row.prediction.at + window]


def _losses(project: "Project", rows: Sequence[LoggedRow]) -> Floats:
    return traffic.losses(project, [row.prediction.output for row in rows], rows)


def _labels(rows: Sequence[LoggedRow]) -> Floats:
    found = []
    for number, row in enumerate(rows):
        if row.label is None or isinstance(row.label, str):
            raise RowError(number, "label", row.label, "a number, or true and false, that can be earned")
        found.append(float(row.label))
    return np.array(found)


def _units(rows: Sequence[LoggedRow]) -> npt.NDArray[np.int64]:
    """Numbers of the units; a row without one stands for itself."""
    names = [row.prediction.unit if row.prediction.unit is not None else f"\0{row.prediction.id}" for row in rows]
    return np.unique(names, return_inverse=True)[1].astype(np.int64)
