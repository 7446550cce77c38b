"""What was expected, and what is delivered? The onset's floor, ceiling and goal beside the incumbent's loss.

In: events, the roles that they fold to, the log. Out: one record, in values of the metric; None where nothing is known.
Reads what steps recorded and sums what the log holds; judges nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from incumbent.config import Config
from incumbent.records import DAY, Event, Json, Micros, Roles, Version
from incumbent.stats import metrics
from incumbent.stats.metrics import UNITS_PER_ONE
from incumbent.storage.base import Log, Totals

LATEST: Micros = 28 * DAY
"""How much of the log counts as the latest."""

Data = Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Delivered:
    """Values of the metric. `goal` is the plan's; `floor`, `ceiling`, `quick` (a quick model) and the `verdict` on the
    goal are what `expect` recorded, at `expected_at`. `held_out` is the incumbent's on the gate's rows, `live` that of
    the last 28 days of answers since it is the incumbent, over `live_rows` labelled ones."""

    metric: str
    lower_is_better: bool
    goal: float | None = None
    verdict: str | None = None
    expected_at: Micros | None = None
    floor: float | None = None
    floor_name: str | None = None
    quick: float | None = None
    ceiling: float | None = None
    perfect: float = 0.0
    incumbent: str | None = None
    held_out: float | None = None
    live: float | None = None
    live_rows: int = 0

    def reaches(self, value: float | None) -> bool | None:
        """Is a value as good as the goal? None where one of the two is not known."""
        if value is None or self.goal is None:
            return None
        return value <= self.goal if self.lower_is_better else value >= self.goal


def delivered(
    config: Config, events: Sequence[Event], roles: Roles, log: Log, totals: Totals | None = None
) -> Delivered:
    """The record as of the last event and the last logged answer. `totals` spares counting the log again."""
    metric = metrics.get(config.task.metric, config.task.kind)
    found = [event.data["evidence"] for event in events if event.data.get("evidence")]
    expected = next((one for one in reversed(found) if one["step"] == "expect"), None)
    numbers = expected["numbers"] if expected else {}
    points = numbers.get("curve", {}).get("points", [])
    loss = None if roles.incumbent is None else held_out(roles.versions[roles.incumbent], events)
    last = (log.totals() if totals is None else totals).last_at
    rows, units = (0, 0) if metric.row_loss is None or last is None else _live(events, last, log)
    return Delivered(
        metric.name,
        metric.lower_is_better,
        config.plan.goal if config.plan.goal is not None else numbers.get("goal"),
        expected["verdict"] if expected else None,
        expected["at"] if expected else None,
        numbers.get("floor", {}).get("value"),
        numbers.get("floor", {}).get("name"),
        points[-1]["value"] if points else None,
        numbers.get("noise", {}).get("value"),
        metric.perfect,
        roles.incumbent,
        loss if loss is None or metric.of_mean_loss is None else metric.of_mean_loss(loss),
        metric.of_mean_loss(units / UNITS_PER_ONE / rows) if rows and metric.of_mean_loss else None,
        rows,
    )


def gated(version: Version, events: Sequence[Event]) -> Data | None:
    """The gate's last evidence about a version: by its name, or about its recipe before it was registered."""
    recipe = version.recipe.split("@")[0].removeprefix("distil:")
    found, registered = None, False
    for event in events:
        told = event.data.get("evidence")
        named = event.data.get("version")
        registered = registered or (
            event.type == "VersionRegistered" and isinstance(named, dict) and named["name"] == version.name
        )
        if not told or told["step"] != "gate":
            continue
        subject = str(told["subject"])
        about = subject == version.name or (not registered and bool(recipe) and recipe in subject.split())
        found = told if about else found
    return found


def held_out(version: Version, events: Sequence[Event]) -> float | None:
    """The mean row loss (a value of the metric, where it is no mean) of a version on held-out rows."""
    told = gated(version, events)
    if told is not None:
        loss: float | None = told["numbers"].get("loss_candidate")
        return loss
    return None


def _live(events: Sequence[Event], last: Micros, log: Log) -> tuple[int, int]:
    """(labelled rows, sum of their losses in 1e-9) of the latest answers since the incumbent is in office."""
    moves = [event.at for event in events if event.type in ("Promoted", "RolledBack")]
    if not moves:
        return 0, 0
    since = max(moves[-1], last - LATEST)
    sums = log.period_sums(LATEST, since, last + 1, last + LATEST)
    return sum(one.labelled for one in sums), sum(one.loss for one in sums)
