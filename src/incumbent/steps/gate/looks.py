"""How many candidates were judged on these very rows, or on rows that are largely these, and what is luck by now?

In: how many looks there were, this one counted, and the difference. Out: numbers and a sentence. Each further candidate
on the same rows is one more chance that a useless one passes; a holdout that moves on by a day is nearly the same.
Counts only; the verdict stays what the rules say.
"""

from dataclasses import dataclass

from incumbent import config
from incumbent.records import Json
from incumbent.stats.compare import PairedDifference


@dataclass(frozen=True, slots=True)
class Looks:
    """This candidate is the `count`-th on the held-out rows with this `holdout` fingerprint, or on others that hold
    half of them or more; `answers` is its own.

    `elsewhere` of the looks were at such others, which hold `shared` (0-1) of these rows at least. `sketch` is that of
    the `rows` (`stats.sketch`), by which a later holdout is told to overlap.
    """

    count: int = 1
    holdout: str | None = None
    answers: str | None = None
    elsewhere: int = 0
    shared: float | None = None
    sketch: str | None = None
    rows: int = 0


def chance_of_luck(count: int, alpha: float) -> float:
    """The chance that at least one of `count` candidates that are no better passes: 1 - (1 - alpha)^count.

    It is that for candidates that have nothing in common, and less for candidates that are alike.

    >>> round(chance_of_luck(10, .05), 3)
    0.401
    """
    return 1.0 - (1.0 - alpha) ** count


def numbers(looks: Looks, found: PairedDifference | str, settings: config.Gate) -> dict[str, Json]:
    """The count, the chance of luck, and the bound at the level alpha / count (Bonferroni), which would be safe."""
    said: dict[str, Json] = {"looks": looks.count}
    if looks.holdout is not None:
        said |= {"holdout": looks.holdout, "answers": looks.answers}
    if looks.sketch is not None:
        said |= {"sketch": looks.sketch, "rows_sketched": looks.rows}
        said |= {"looks_elsewhere": looks.elsewhere, "rows_shared": looks.shared}
    if looks.count > 1:
        safe = settings.alpha / looks.count
        lower = None if isinstance(found, str) else found.lower_at(safe)
        said |= {
            "chance_of_luck": chance_of_luck(looks.count, settings.alpha),
            "alpha_of_all_looks": safe,
            "lower_of_all_looks": lower if lower is not None and abs(lower) < float("inf") else None,
        }
    return said


def sentence(looks: Looks, found: PairedDifference | str, settings: config.Gate, verdict: str) -> str:
    """What the evidence says of the looks; nothing at the first one."""
    if looks.count < 2:
        return ""
    luck = chance_of_luck(looks.count, settings.alpha)
    said = f" Look {looks.count} at this holdout{_elsewhere(looks)}: of {looks.count} candidates that are no better, "
    said += f"one passes by luck with a chance of up to {luck:.0%}."
    if looks.count < settings.many_looks:
        return said
    safe = settings.alpha / looks.count
    said += f" That is many: at {100 * safe:.2g}%, which keeps all looks together at {settings.alpha:.0%},"
    asked = settings.better_by if settings.no_worse_than is None else -settings.no_worse_than
    passes = not isinstance(found, str) and found.lower_at(safe) > asked
    return f"{said} it would {'still pass' if passes and verdict == 'ship' else 'not pass'}. Hold out fresh rows."


def _elsewhere(looks: Looks) -> str:
    if not looks.elsewhere:
        return ""
    shared = f"{looks.shared:.0%} of its rows" if looks.shared is not None else "half of its rows"
    return f" ({looks.elsewhere} at others that hold about {shared} or more)"
