"""What does the trial wait for, in words of whoever runs it? Labels and units that are missing, and for how long.

In: counts, and how long they took to come. Out: phrases that stand after "needs". Rates are the mean since the phase
began: nights and weekends are in it.
"""

import math

from incumbent.config import Measure
from incumbent.records import DAY, Micros, Trial
from incumbent.stats.metrics import Metric
from incumbent.steps.live import bounds
from incumbent.steps.live.measures import ARMS, FIRST_LOOK_OUTCOMES, FIRST_LOOK_UNITS, LOSS, RARER, Compared

HOUR: Micros = DAY // 24


def missing(primary: Compared, metric: Metric, least: int, elapsed: Micros) -> tuple[str, ...]:
    """Labels (or outcomes) that lack until `least` an arm; then what a valid bound still needs. `elapsed` is for how
    long outcomes have counted so far. A metric that is no mean of row losses has none to compare."""
    if primary.measure.name == LOSS and metric.row_loss is None:
        return (no_loss(metric),)
    noun = _noun(primary.measure)
    lacking = tuple(
        f"{least - primary.outcomes[arm]:,} {noun} more of the {arm}"
        f"{after(least - primary.outcomes[arm], primary.outcomes[arm], elapsed)}"
        for arm in ARMS
        if primary.outcomes[arm] < least
    )
    if lacking or primary.ready:
        return lacking
    spread = {LOSS: f", {RARER} of which share the loss", "count": f", {RARER} of which have any"}
    share = spread.get(LOSS if primary.measure.name == LOSS else primary.measure.of, "")
    return (f"{FIRST_LOOK_OUTCOMES} {noun} from {FIRST_LOOK_UNITS} units in each arm{share}",)


def no_loss(metric: Metric) -> str:
    return f"a metric that is a mean over rows, which {metric.name} is not, or a measure that is primary"


def until_shown(primary: Compared, above: float, alpha: float, elapsed: Micros) -> str:
    """How many units more would show the gain, if it stays what it is; "" where it is not above `above`."""
    if primary.horizon.n_star is None or not primary.ready:
        return ""
    more = bounds.units_to_show(primary.gain, above, primary.horizon.n_star, alpha=alpha)
    if more is None:
        return ""
    when = after(more, primary.gain.n, elapsed)
    return f"{more:,} units more would show it if it stays {primary.gain.estimate:+.3g}{when}"


def counted_for(trial: Trial, window: Micros, now: Micros) -> Micros:
    """For how long windows have been closing: since the phase began, less one window."""
    return max(now - trial.phase_started_at - window, 0)


def duration(time: float) -> str:
    """
    >>> duration(3.2 * DAY), duration(5 * DAY / 24), duration(DAY / 1440)
    ('about 3 days', 'about 5 hours', 'less than an hour')
    """
    if time >= 1.5 * DAY:
        return f"about {time / DAY:,.0f} days"
    hours = math.ceil(time / HOUR)
    return f"about {hours} hours" if hours > 1 else "less than an hour"


def after(more: int, so_far: int, elapsed: Micros) -> str:
    """
    >>> after(1_900, 1_300, 2 * DAY), after(200, 0, DAY)
    (', about 3 days at the present rate', '')
    """
    return f", {duration(more / so_far * elapsed)} at the present rate" if so_far > 0 and elapsed > 0 else ""


def _noun(measure: Measure) -> str:
    if measure.name == LOSS:
        return "labels"
    return f"outcomes of {measure.name}" if measure.of == "mean" else "units whose window is closed"
