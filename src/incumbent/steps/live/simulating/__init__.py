"""How often does a trial promote a challenger that is no better, and how soon does it see one that is, or that harms?

    scenarios    a made-up trial and what is asked of many of them
    looking      what each of many looks sees, and the naive z test
    means        equal, heavy-tailed and better challengers
    counts       the split itself, failures, late answers
    traps        what makes a trial lie: ramps of the split, users, late labels, dropped failures
    pairs        shadow: both versions on the same rows
    blocks       what a shadow trial makes of its blocks of time
    whole        from the first unit to the verdict
    assigning    the units that requests are assigned by
    own          the user's own log, dealt into two equal arms
    running      many runs, in several processes, held against the limits

In: a seed, and for `own` rows of the log. Out: rows of a table. Reads no store and no clock, and judges no real trial.
"""

from collections.abc import Sequence

from incumbent.steps.live.simulating import assigning, counts, means, pairs, traps, whole
from incumbent.steps.live.simulating.scenarios import Scenario


def all_of(assign: assigning.Assign) -> Sequence[Scenario]:
    """Every made-up scenario, in the order of the table. `assign` is the function that answers requests are assigned
    by (`loop.route`; steps and loop are strangers)."""
    made = (means, counts, traps, pairs, whole)
    return [*(one for module in made for one in module.all_of()), *assigning.all_of(assign)]
