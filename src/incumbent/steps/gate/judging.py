"""Is the candidate better than the reference on the same rows, by every rule that was declared?

In: outputs and truth (or row losses) in the same row order, blocks of rows that may depend on each other, settings.
Out: one Evidence. Reads no store and times nothing.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from incumbent import config
from incumbent.errors import DataError
from incumbent.records import Evidence, Micros
from incumbent.stats import metrics
from incumbent.stats.compare import bootstrap_difference, paired
from incumbent.stats.influence import influence_difference, knows
from incumbent.stats.latency import LatencySummary
from incumbent.stats.metrics import Metric
from incumbent.steps.gate import slices as cut
from incumbent.steps.gate.looks import Looks
from incumbent.steps.gate.rules import HOLD, Finding, Found, Of, beyond, fast, not_worse, of_all_rows
from incumbent.steps.gate.slices import Labels, Mask
from incumbent.steps.gate.wording import Case, evidence, unjudged

__all__ = ["difference", "judge", "judge_outputs", "not_shown_worse", "of_losses", "unjudged"]

N_RESAMPLES = 1000
NO_COLUMNS: Mapping[str, Labels] = {}


def judge(
    loss_incumbent: npt.ArrayLike,
    loss_candidate: npt.ArrayLike,
    blocks: npt.ArrayLike | None,
    settings: config.Gate,
    subject: str,
    reference: str,
    at: Micros,
    *,
    columns: Mapping[str, Labels] = NO_COLUMNS,
    latency: LatencySummary | None = None,
    budget_ms: float = 0.0,
    looks: int | Looks = 1,
) -> Evidence:
    """Superiority on row losses (n_rows,), lower is better; non-inferiority where `no_worse_than` is set.

    `blocks` (n_rows,): rows of one label may depend on each other (a day); None: rows are independent. `columns` holds
    the labels (n_rows,) of what `settings.slice` names. `budget_ms` > 0 adds the rule `latency_p99_ms`: the upper 95 %
    bound of p99 must be inside it. `looks` counts the candidates that were judged on these rows, this one too.
    `settings.rule` needs outputs: see `judge_outputs`.
    """
    case = _case(settings, subject, reference, at, latency, budget_ms, looks)

    def differs(inside: Mask | None = None) -> Found:
        return of_losses(loss_incumbent, loss_candidate, blocks, settings, inside)

    found = differs()
    findings = of_all_rows(found, settings, perfect=0.0)
    findings += [
        Finding(Of(metric=one.metric).named("valid"), HOLD, f"{one.metric}: needs outputs, found losses only")
        for one in settings.rule
    ]
    return evidence(found, findings + _beside(found, columns, differs, case), case)


def judge_outputs(
    metric: Metric,
    truth: npt.ArrayLike,
    outputs_incumbent: npt.ArrayLike,
    outputs_candidate: npt.ArrayLike,
    blocks: npt.ArrayLike | None,
    settings: config.Gate,
    subject: str,
    reference: str,
    at: Micros,
    *,
    columns: Mapping[str, Labels] = NO_COLUMNS,
    latency: LatencySummary | None = None,
    budget_ms: float = 0.0,
    looks: int | Looks = 1,
    seed: int = 0,
) -> Evidence:
    """The same for any metric, and for the further ones of `settings.rule`.

    Row losses where the metric has them; influences where it is another smooth function of the rows (roc_auc, f1,
    average_precision, rmse); else the seeded bootstrap of rows or whole blocks.
    """
    case = _case(settings, subject, reference, at, latency, budget_ms, looks)
    actual, old, new = np.asarray(truth), np.asarray(outputs_incumbent), np.asarray(outputs_candidate)

    def of(one: Metric, inside: Mask | None = None) -> Found:
        return _of_outputs(one, actual, old, new, blocks, inside, settings, seed)

    found = of(metric)
    by_loss = metric.row_loss is not None and not knows(metric)
    findings = of_all_rows(found, settings, perfect=0.0 if by_loss else metric.perfect)
    findings += [_second(one, of(metrics.get(one.metric, metric.kind))) for one in settings.rule]
    return evidence(found, findings + _beside(found, columns, lambda inside: of(metric, inside), case), case)


def not_shown_worse(
    loss_incumbent: npt.ArrayLike,
    loss_candidate: npt.ArrayLike,
    blocks: npt.ArrayLike | None,
    settings: config.Gate,
    subject: str,
    reference: str,
    at: Micros,
    *,
    looks: int | Looks = 1,
) -> Evidence:
    """For a refresh (same recipe, newer rows): ship unless the candidate is *shown* worse, at `settings.alpha`.

    Where the world moves, asking each refresh for fresh superiority costs more than it saves. It is no proof of
    anything: the recipe earned its place by `judge`. The leakage alarm and `min_rows` hold here too; `mode` does not:
    a refresh goes live without a trial, so this question is always asked.
    """
    settings = replace(settings, mode="enforce")
    found = of_losses(loss_incumbent, loss_candidate, blocks, settings)
    return evidence(found, not_worse(found, settings), _case(settings, subject, reference, at, None, 0.0, looks))


def _case(
    settings: config.Gate,
    subject: str,
    reference: str,
    at: Micros,
    latency: LatencySummary | None,
    budget_ms: float,
    looks: int | Looks,
) -> Case:
    counted = Looks(looks) if isinstance(looks, int) else looks
    return Case(settings, subject, reference, at, latency, budget_ms, counted)


def _beside(found: Found, columns: Mapping[str, Labels], differs: cut.Differs, case: Case) -> list[Finding]:
    """The slices, and the budget. Nothing is cut where there is nothing to compare."""
    settings = case.settings
    findings = [] if isinstance(found, str) else cut.findings(settings.slice, columns, differs, settings)
    return findings + ([fast(case.latency, case.budget_ms)] if case.budget_ms > 0.0 else [])


def _second(rule: config.Rule, found: Found) -> Finding:
    of = Of(metric=rule.metric)
    if isinstance(found, str):
        return Finding(of.named("valid"), HOLD, f"never ships without a valid value: {found}", metric=rule.metric)
    return beyond(found, of, better_by=rule.better_by, no_worse_than=rule.no_worse_than)


# --- the difference, or the sentence that says why there is none


def difference(
    metric: Metric,
    truth: npt.ArrayLike,
    outputs_reference: npt.ArrayLike,
    outputs_candidate: npt.ArrayLike,
    blocks: npt.ArrayLike | None,
    settings: config.Gate,
    *,
    seed: int = 0,
) -> Found:
    """The paired difference that the rules weigh, by the method that suits the metric; or why there is none."""
    arrays = np.asarray(truth), np.asarray(outputs_reference), np.asarray(outputs_candidate)
    return _of_outputs(metric, *arrays, blocks, None, settings, seed)


def of_losses(
    reference: npt.ArrayLike,
    candidate: npt.ArrayLike,
    blocks: npt.ArrayLike | None,
    settings: config.Gate,
    inside: Mask | None = None,
) -> Found:
    """The same from row losses (of the rows `inside`)."""
    try:
        if inside is not None:
            reference, candidate = np.asarray(reference)[inside], np.asarray(candidate)[inside]
        ordered = settings.block != "group"
        return paired(reference, candidate, blocks=_of(blocks, inside), alpha=settings.alpha, ordered=ordered)
    except (DataError, ValueError) as error:
        return str(error)


def _of_outputs(
    metric: Metric,
    truth: npt.NDArray[np.generic],
    reference: npt.NDArray[np.generic],
    candidate: npt.NDArray[np.generic],
    blocks: npt.ArrayLike | None,
    inside: Mask | None,
    settings: config.Gate,
    seed: int,
) -> Found:
    try:
        if inside is not None:
            truth, reference, candidate = truth[inside], reference[inside], candidate[inside]
        if metric.row_loss is not None and not knows(metric):
            losses = metric.row_loss(reference, truth), metric.row_loss(candidate, truth)
            return of_losses(*losses, _of(blocks, inside), settings)
        blocks, alpha = _of(blocks, inside), settings.alpha
        if knows(metric):
            return influence_difference(
                metric, truth, reference, candidate, blocks=blocks, alpha=alpha, ordered=settings.block != "group"
            )
        return bootstrap_difference(
            metric, truth, reference, candidate, blocks=blocks, alpha=alpha, seed=seed, n_resamples=N_RESAMPLES
        )
    except (DataError, ValueError) as error:
        return f"{metric.name} has no value here: {error}"


def _of(blocks: npt.ArrayLike | None, inside: Mask | None) -> npt.ArrayLike | None:
    return blocks if blocks is None or inside is None else np.asarray(blocks)[inside]
