"""Step 1. May a model replace people?

In: row losses of people and of a model on the same rows, or a published accuracy and the model's losses on others. Out:
a Verdict (automate, assist or not_yet) and the Evidence that says it. What people reach is `people`'s.
"""

import math
from dataclasses import dataclass, replace

from incumbent.records import Evidence, Json, Micros
from incumbent.runtimes.base import Floats
from incumbent.stats.compare import paired, rows_needed
from incumbent.stats.share import difference
from incumbent.steps.baseline.held import Ints
from incumbent.steps.baseline.people import ALPHA, Interval, Measured, numbers_of, said

AUTOMATE, ASSIST, NOT_YET = "automate", "assist", "not_yet"


@dataclass(frozen=True, slots=True)
class Verdict:
    """automate, assist or not_yet; the gain of the model in units of the loss with one-sided 95 % bounds, and how many
    rows would show that it is not inferior if the difference is what it seems (None: more rows are not what lacks)."""

    word: str
    gain: float
    lower: float | None
    upper: float | None
    n_rows: int
    rows_needed: int | None = None
    too_few: bool = False


def verdict(
    people: Floats, model: Floats, margin: float, *, relative: bool, min_rows: int, blocks: Ints | None = None
) -> Verdict:
    """Is the model not inferior to people on the same rows, by more than `margin` of the loss at 95 %?

    `relative`: the margin is a share of people's loss, tested as the one mean of (1 + margin)·people - model, so that
    it needs no estimate of its own (Hauschke et al., Statistics in Medicine 18, 1999). Paired row by row, or unit by
    unit where rows of one label of `blocks` belong together.

        automate   the lower bound of gain + margin is above 0
        not_yet    the upper bound of the gain is below 0 (shown worse), or fewer than `min_rows` rows
        assist     neither is shown
    """
    allowed = people * (1.0 + margin) if relative else people + margin
    found = paired(allowed, model, blocks=blocks, alpha=ALPHA)
    plain = paired(people, model, blocks=blocks, alpha=ALPHA)
    known = math.isfinite(plain.standard_error) and math.isfinite(found.standard_error)
    base = Verdict(
        ASSIST, plain.gain, plain.lower if known else None, plain.upper if known else None, len(people)
    )
    if len(people) < min_rows or not known:
        hoped = found.gain if found.gain > 0.0 else found.gain - plain.gain
        would = rows_needed(found, hoped) if known and hoped > 0.0 and found.standard_error else 0
        return replace(base, word=NOT_YET, rows_needed=max(min_rows, would), too_few=True)
    if found.lower > 0.0:
        return replace(base, word=AUTOMATE)
    if plain.upper < 0.0:
        return replace(base, word=NOT_YET)
    return replace(base, rows_needed=rows_needed(found, found.gain) if found.gain > 0.0 else None)


def verdict_published(
    accuracy: float, n: int, model: Floats, margin: float, *, min_rows: int
) -> Verdict:
    """The same against an accuracy that somebody published for `n` other rows: unpaired, so less is shown.

    `model` are its row losses of accuracy (0 or 1). Bounds are Newcombe's (`stats.share.difference`).
    """
    right, rows = int(len(model) - model.sum()), len(model)
    found = difference(right, rows, round(accuracy * n), n, alpha=ALPHA)
    base = Verdict(ASSIST, found.difference, found.lower, found.upper, rows)
    if rows < min_rows:
        return replace(base, word=NOT_YET, rows_needed=min_rows, too_few=True)
    if found.lower > -margin:
        return replace(base, word=AUTOMATE)
    return replace(base, word=NOT_YET) if found.upper < 0.0 else base


# --- what is said


def evidence(
    subject: str,
    reference: str,
    at: Micros,
    by: str,
    gold: str,
    people: Interval,
    model: Interval,
    found: Verdict,
    margin: float,
    *,
    baseline: Interval | None = None,
    measured: Measured | None = None,
    flattered: bool = False,
) -> Evidence:
    """One Evidence of step 1 about a model and people. `flattered`: the model may have been trained on these rows."""
    numbers: dict[str, Json] = {
        "metric": by, "gold": gold, "people": people.to_dict(), "model": model.to_dict(),
        "baseline": None if baseline is None else baseline.to_dict(), "gain": found.gain, "lower": found.lower,
        "upper": found.upper, "margin": margin, "alpha": ALPHA, "n_rows": found.n_rows,
        "rows_needed": found.rows_needed, "too_few": found.too_few, "flattered": flattered,
    }  # fmt: skip
    if measured is not None:
        numbers |= numbers_of(measured)
    sentence = (
        f"{found.word.replace('_', ' ')}: {subject} against people ({reference}): {by} {said(model)} against "
        f"{said(people)}: {_why(found, margin, by)}."
    )
    if gold == "people":
        sentence += " The truth is what other people said of these rows."
    if gold == "published":
        sentence += " People's figure was published for other rows, so the two are compared unpaired."
    if flattered:
        sentence += f" {subject} may have been trained on these rows, which flatters it."
    return Evidence("baseline", subject, found.word, sentence, at, reference, numbers)


def _why(found: Verdict, margin: float, by: str) -> str:
    bounds = "" if found.lower is None else f", at least {found.lower:+.4f} at 95 %"
    most = "" if found.upper is None else f", at most {found.upper:+.4f} at 95 %"
    allowed = f"{margin:g}" if by == "accuracy" else f"{margin:.0%} of people's loss"
    would = f"; {found.rows_needed:,} rows would do" if found.rows_needed else ""
    if found.word == AUTOMATE:
        return f"not worse by more than {allowed} (gain {found.gain:+.4f}{bounds})"
    if found.too_few:
        return f"{found.n_rows:,} rows are too few{would}"
    if found.word == NOT_YET:
        return f"shown worse than people (gain {found.gain:+.4f}{most})"
    hint = f"{would} if the gain is what it seems" if would else ""
    return f"neither shown worse nor shown to be within {allowed} (gain {found.gain:+.4f}{bounds}){hint}"
