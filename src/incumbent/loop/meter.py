"""How much, how fast, how often? Plain numbers of one process, counted beside the answers.

In: one call a request or a batch, well under a microsecond. Out: a Snapshot, which sums with those of other processes.
Knows no exposition format; no id, unit or column is ever a key.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

Key = tuple[str, ...]

BOUNDS_S = (.0002, .0005, .001, .002, .005, .01, .02, .05, .1, .2, .5, 1.0, 2.0, 5.0, 10.0)  # fmt: skip
"""Upper ends of the buckets of every histogram; one more takes what is longer."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The numbers at one moment. `counts` by (name, *labels); `times` the same, each a count a bucket and the sum of
    seconds last; `levels` go up and down, and are those of living processes only."""

    counts: Mapping[Key, float] = field(default_factory=dict)
    times: Mapping[Key, list[float]] = field(default_factory=dict)
    levels: Mapping[Key, float] = field(default_factory=dict)


class Meter:
    """Counts."""

    def __init__(self) -> None:
        self._counts: defaultdict[Key, float] = defaultdict(int)
        self._times: defaultdict[Key, list[float]] = defaultdict(_empty)

    def resume(self, before: Snapshot) -> None:
        """Go on from the numbers of a process that this one replaces, so that no counter goes backwards."""
        whole = total([before, self.snapshot()])
        self._counts.update(whole.counts)
        self._times.update(whole.times)

    def replied(self, path: str, status: int) -> None:
        """A request was answered. `path` is a template (`/versions/{name}`), never what somebody sent."""
        self._counts["requests", path, str(status)] += 1

    def answered(self, seconds: float) -> None:
        """A prediction request was answered, with everything that it waited for."""
        _observe(self._times[("answer",)], seconds)

    def served(
        self, served_by: str, rows: int, seconds: float, assigned: str | None = None, reason: str | None = None
    ) -> None:
        """Rows of one batch were answered by `served_by`, in `seconds` for the batch, fallbacks included. With a
        `reason` it stood in for `assigned`."""
        self._counts["rows", served_by] += rows
        _observe(self._times["version", served_by], seconds)
        if reason is not None:
            self._counts["fallback_rows", assigned or served_by, reason] += rows

    def refused(self, status: int, reason: str) -> None:
        """A request was refused: `reason` is the type of the error (RowError, StoreFull)."""
        if status >= 500:
            self._counts["errors", reason] += 1
        else:
            self._counts["refusals", str(status), reason] += 1

    def committed(self, seconds: float) -> None:
        """Predictions of one batch were made durable."""
        _observe(self._times[("commit",)], seconds)

    def count(self, name: str, *labels: str, by: float = 1) -> None:
        """Anything else that only grows."""
        self._counts[name, *labels] += by

    def snapshot(self, levels: Mapping[Key, float] | None = None) -> Snapshot:
        """The numbers now, and the levels as the caller knows them."""
        return Snapshot(dict(self._counts), {key: list(held) for key, held in self._times.copy().items()}, levels or {})


def total(snapshots: Iterable[Snapshot]) -> Snapshot:
    """The sum of several processes.

    >>> total([Snapshot({("rows", "v1"): 2}), Snapshot({("rows", "v1"): 3})]).counts
    {('rows', 'v1'): 5}
    """
    counts: dict[Key, float] = {}
    times: dict[Key, list[float]] = {}
    levels: dict[Key, float] = {}
    for one in snapshots:
        for key, count in one.counts.items():
            counts[key] = counts.get(key, 0) + count
        for key, level in one.levels.items():
            levels[key] = levels.get(key, 0) + level
        for key, held in one.times.items():
            times[key] = [a + b for a, b in zip(times.get(key) or _empty(), held, strict=True)]
    return Snapshot(counts, times, levels)


def _empty() -> list[float]:
    return [0] * (len(BOUNDS_S) + 1) + [0.0]


def _observe(held: list[float], seconds: float) -> None:
    held[bisect_left(BOUNDS_S, seconds)] += 1
    held[-1] += seconds
