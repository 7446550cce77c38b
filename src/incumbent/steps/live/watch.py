"""Is the version that was replaced better than its successor? And do refreshes of a recipe do harm?

In: paired sums by block of time: the incumbent beside the version that it replaced, scored as a watch shadow; each past
refresh beside what it replaced. Out: one Evidence, at `live.alpha_roll_back`. Reads no log; brings nothing back.
"""

from collections.abc import Sequence

from incumbent.config import Live
from incumbent.records import DAY, Evidence, Micros, Trial
from incumbent.stats.metrics import Metric
from incumbent.steps.live import bounds, looks, pairs
from incumbent.steps.live.gain import Gain
from incumbent.steps.live.measures import shown
from incumbent.steps.live.pairs import MIN_BLOCKS
from incumbent.steps.live.trial import BLOCK, days, values
from incumbent.storage.base import BlockSum

Bounds = dict[str, float]


def judge_watch(
    watched: str,
    incumbent: str,
    blocks: Sequence[BlockSum],
    live: Live,
    metric: Metric,
    now: Micros,
    *,
    since: Micros,
    watch_days: int,
    block: Micros = BLOCK,
    before: Evidence | None = None,
) -> Evidence:
    """Is the replaced version better than its successor?

    Verdict roll_back: it is, and comes back; stop: `watch_days` are over; continue. `blocks` pair the
    incumbent (reference) with the watched version (candidate); `since` is when the watch began. The bound is
    at `live.alpha_roll_back`, as for every rollback.
    """
    question = Trial(f"watch-{watched}-{since}", watched, incumbent, "shadow", since, phase_started_at=since)
    past, merged = looks.of_phase(before, question), pairs.merge(blocks)
    found, n_star = _bounds(pairs.gain(merged, block), live, watch_days, block)
    gain, over = found["lower"], days(question, now)
    if gain > 0.0:
        word, why = (
            "roll_back",
            f"{watched}, which {incumbent} replaced, is shown better, by at least {gain:.3g}",
        )
    elif over >= watch_days:
        word, why = (
            "stop",
            f"{watched} was watched for {watch_days} days and is not shown better than {incumbent}",
        )
    else:
        word, why = "continue", f"{watched} is not shown better than {incumbent} so far"
    rows = sum(one.rows for one in merged)
    numbers = {
        "trial": question.name,
        "phase": 1,
        "mode": "watch",
        "metric": metric.name,
        "days": over,
        "rows": rows,
        "n": len(merged),
        "n_kind": "blocks",
        **values(pairs.means(merged), metric),
        "n_star": n_star,
        "looks": past.get("looks", 0) + 1,
        **shown({name: found[name] for name in ("estimate", "lower", "upper")}),
    }
    return Evidence("live", watched, word, f"{why}.", now, incumbent, numbers)


def judge_record(recipe: str, refreshes: Sequence[Sequence[BlockSum]], live: Live, now: Micros) -> Evidence:
    """Are refreshes of this recipe harmful? The record: each past refresh against the version it replaced.

    One list of blocks a refresh, reference = the replaced version, candidate = the refresh. Verdict
    roll_back: refreshes are shown harmful (upper bound below 0 at `live.alpha_roll_back`); continue: they
    are not, or too little is known.
    """
    blocks = [one for refresh in refreshes for one in pairs.merge(refresh)]
    found, _ = _bounds(pairs.gain(blocks, BLOCK), live, live.max_days, BLOCK)
    harmful = found["upper"] < 0.0
    sentence = (
        f"Refreshes of {recipe or 'this recipe'} are shown harmful, by at least {-found['upper']:.3g}."
        if harmful
        else f"{len(refreshes)} refreshes of {recipe or 'this recipe'} are not shown harmful."
    )
    numbers = {
        "refreshes": len(refreshes),
        "n": len(blocks),
        "rows": sum(one.rows for one in blocks),
        **shown({name: found[name] for name in ("estimate", "lower", "upper")}),
    }
    return Evidence("live", recipe, "roll_back" if harmful else "continue", sentence, now, None, numbers)


def _bounds(gain: Gain, live: Live, max_days: int, block: Micros) -> tuple[Bounds, float]:
    """Bounds at `live.alpha_roll_back`, from `MIN_BLOCKS` on; and where they are tightest: half of `max_days`."""
    n_star = max(max_days * DAY / block, MIN_BLOCKS) / 2
    level = live.alpha_roll_back
    tuned = n_star if gain.n >= MIN_BLOCKS else None
    return bounds.of_gain(gain, tuned, alpha=level, alpha_harm=level), n_star
