"""Step 2. Is the candidate better than the incumbent on the same held-out rows?

In: outputs of both and the truth, in the same row order (or row losses). Out: one Evidence with a line for each rule:
ship, hold or not_enough_data. What is missing, NaN or infinite never ships. Does not train and does not promote:
loop.decide does. The same rows give the same bytes.

    split      which rows train, which are held out
    judging    outputs or losses in, Evidence out
    rules      what each rule says of a paired difference
    slices     the same rules on some of the rows
    looks      how often were these rows asked, and what is luck by now?
    wording    the sentence and the numbers of the Evidence
    power      what can this holdout show at all?
    scenarios  candidates that are equal, worse or better, drawn from a seed
    simulate   how often does the gate ship them? A table with limits
"""

from incumbent.steps.gate.judging import (
    difference,
    judge,
    judge_outputs,
    not_shown_worse,
    of_losses,
    unjudged,
)
from incumbent.steps.gate.looks import Looks
from incumbent.steps.gate.power import Plan, plan
from incumbent.steps.gate.rules import HOLD, NOT_ENOUGH, OFF, SHIP, Finding, verdict_of
from incumbent.steps.gate.slices import Labels, labels
from incumbent.steps.gate.split import NEVER, split, split_at

__all__ = [
    "HOLD",
    "NEVER",
    "NOT_ENOUGH",
    "OFF",
    "SHIP",
    "Finding",
    "Labels",
    "Looks",
    "Plan",
    "difference",
    "judge",
    "judge_outputs",
    "labels",
    "not_shown_worse",
    "of_losses",
    "plan",
    "split",
    "split_at",
    "unjudged",
    "verdict_of",
]
