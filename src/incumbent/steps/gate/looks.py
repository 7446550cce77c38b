"""How many candidates were judged on these very rows, and what is luck by now?

In: how many looks there were, this one counted, and the difference. Out: numbers and a sentence. Each further candidate
on the same rows is one more chance that a useless one passes. Counts only; the verdict stays what the rules say.
"""

from dataclasses import dataclass

from incumbent import config
from incumbent.records import Json
from incumbent.stats.compare import PairedDifference


@dataclass(frozen=True, slots=True)
class Looks:
    """This candidate is the `count`-th on the held-out rows with this `holdout` fingerprint; `answers` is its own."""

    count: int = 1
    holdout: str | None = None
    answers: str | None = None


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
    said = f" Look {looks.count} at this holdout: of {looks.count} candidates that are no better, one passes by luck "
    said += f"with a chance of up to {luck:.0%}."
    if looks.count < settings.many_looks:
        return said
    safe = settings.alpha / looks.count
    said += f" That is many: at {100 * safe:.2g}%, which keeps all looks together at {settings.alpha:.0%},"
    asked = settings.better_by if settings.no_worse_than is None else -settings.no_worse_than
    passes = not isinstance(found, str) and found.lower_at(safe) > asked
    return f"{said} it would {'still pass' if passes and verdict == 'ship' else 'not pass'}. Hold out fresh rows."
