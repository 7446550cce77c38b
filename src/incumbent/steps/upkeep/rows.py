"""Are the rows whole that a refit would be trained on? A broken feed blocks it.

In: the incumbent's profile, the rows, and where a row was served before: the same row as it was logged.
Out: one Evidence, ship or hold, with every finding. Row by row comes first: it finds a changed unit or a
corrupted label after a handful of rows. What only distributions show must be sure *and* large, as seasons
move them too.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from incumbent.records import Evidence, Json, Micros
from incumbent.runtimes.base import Columns
from incumbent.stats.drift import Profile, count, explain_pairs, profile, suggest_unit
from incumbent.stats.share import clopper_pearson

Values = npt.NDArray[np.generic]
Mask = npt.NDArray[np.bool_]

ALPHA = 0.01
SYSTEMATIC = 0.001
"""Share of rows above which a difference with a simple cause (a unit, a renamed category) blocks."""
UNEXPLAINED = 0.02
LABELS = 0.005
GROWN = 0.3
"""How much larger (0-1) the share of null or unseen values may become."""
FEWEST = 100
FEWEST_PARTITIONS = 8
ROBUST_Z = 4.5
"""Days of real flights reach 3.9 (a snow storm); a week of flipped labels among quiet ones has 5."""
RATE_MOVED = 0.25
UNIT_DISTANCE, UNIT_MOVED = 0.1, 0.5
MOST_EXPLAINED = 2_000


@dataclass(frozen=True, slots=True)
class Pairs:
    """The same n rows twice: as they were served (from the log) and as they are loaded now.

    `labels` (logged, loaded) hold rows whose label is known on both sides; `partitions` (n_labels,) says to
    which partition (day, file) each belongs, so that the broken one can be named.
    """

    served: Columns = field(default_factory=dict)
    loaded: Columns = field(default_factory=dict)
    labels: tuple[Values, Values] | None = None
    partitions: Values | None = None


@dataclass(frozen=True, slots=True)
class Trouble:
    """One thing that is wrong with the rows; `blocks` the refit, or is only worth knowing."""

    check: str
    column: str | None
    sentence: str
    blocks: bool = True
    share: float = 1.0

    def to_dict(self) -> dict[str, Json]:
        return {"check": self.check, "column": self.column, "sentence": self.sentence, "blocks": self.blocks,
                "share": self.share}  # fmt: skip


def check_rows(
    reference: Mapping[str, Profile],
    columns: Columns,
    subject: str,
    at: Micros,
    *,
    pairs: Pairs | None = None,
    labels: Values | None = None,
    partitions: Values | None = None,
    classifies: bool = True,
) -> Evidence:
    """Check the rows of a refit: ship, or hold when any trouble blocks.

    `reference` holds the profile of each column in the incumbent's training rows, `columns` the rows to
    check. `labels` (n,) class indices and `partitions` (n,) of the same rows look for partitions unlike the
    rest.
    """
    troubles: list[Trouble] = []
    compared: set[str] = set()  # row by row: then the distribution has nothing to add about units
    if pairs is not None:
        for name in pairs.served:
            if pairs.served[name].ndim != 1:  # number arrays have no unit and no default
                continue
            trouble = paired_column(name, pairs.served[name], pairs.loaded[name])
            troubles += [trouble] if trouble else []
            if len(pairs.served[name]) >= FEWEST:
                compared.add(name)
        if pairs.labels is not None:
            troubles += paired_labels(*pairs.labels, pairs.partitions)
    for name, before in reference.items():
        if name in columns:
            troubles += column_health(before, columns[name], look_for_unit=name not in compared)
    if labels is not None and partitions is not None and classifies:
        troubles += label_rates(labels, partitions)
    blocking = [trouble for trouble in troubles if trouble.blocks]
    n_pairs = 0 if pairs is None else max((len(values) for values in pairs.served.values()), default=0)
    sentence = "; ".join(trouble.sentence for trouble in blocking) or (
        f"the rows are whole ({len(columns)} columns, {n_pairs:,} rows compared as served)"
    )
    return Evidence(
        "upkeep", subject, "hold" if blocking else "ship",
        f"{'a refit is blocked' if blocking else 'data checks'}: {sentence}.", at, None,
        {"checks": [trouble.to_dict() for trouble in troubles], "n_pairs": n_pairs},
    )  # fmt: skip


# --- row by row -------------------------------------------------------------------------------------------


def paired_column(name: str, served: Values, loaded: Values) -> Trouble | None:
    """The same rows, served and loaded: None where they agree (to 1e-6), or too few differ to matter."""
    different = _different(served, loaded)
    events, n = int(different.sum()), len(different)
    if events < 5:
        return None
    least = clopper_pearson(events, n, alpha=ALPHA).lower
    rows = np.flatnonzero(different)
    rows = rows[:: max(1, len(rows) // MOST_EXPLAINED)]
    match = explain_pairs(loaded[rows], served[rows])
    systematic = match.explanation in ("unit", "factor", "shift", "renamed", "default_for_null")
    if least <= (SYSTEMATIC if systematic else UNEXPLAINED):
        return None
    why = match.detail.replace("served", "loaded").replace("expected", "as served") if systematic else (
        "the loaded value is null" if match.explanation == "null_for_value" else "in no simple way"
    )  # fmt: skip
    return Trouble(
        f"served_{match.explanation}", name,
        f"{name}: {events:,} of {n:,} loaded rows are not as they were served ({why})", share=events / n,
    )  # fmt: skip


def paired_labels(logged: Values, loaded: Values, partitions: Values | None) -> list[Trouble]:
    """Labels of the same rows: a share that differs, surely above half a percent, is a corrupted feed."""
    different = _different(logged, loaded)
    events, n = int(different.sum()), len(different)
    if not n:
        return []
    share = clopper_pearson(events, n, alpha=ALPHA)
    worst = _worst_partition(different, partitions)
    if share.lower <= LABELS and worst is None:
        return []
    where = f", {worst}" if worst else ""
    return [Trouble(
        "labels", None, f"{events:,} of {n:,} loaded labels differ from the outcome that was logged "
        f"(at least {share.lower:.2%} at {1 - ALPHA:.0%}{where})", share=events / n,
    )]  # fmt: skip


def _worst_partition(different: Mask, partitions: Values | None) -> str | None:
    """The partition with the largest share of differing labels, where it is surely above a fifth."""
    if partitions is None or not different.any():
        return None
    names, index = np.unique(partitions, return_inverse=True)
    sizes, events = np.bincount(index), np.bincount(index, different)
    worst = int(np.argmax(events / sizes))
    found = clopper_pearson(int(events[worst]), int(sizes[worst]), alpha=ALPHA / len(names))
    return f"{found.share:.0%} of partition {names[worst]}" if found.lower > 0.2 else None


def _different(one: Values, other: Values) -> Mask:
    """Which rows differ; null on both sides agrees, numbers agree to a millionth."""
    if one.dtype == object or other.dtype == object:
        return np.array([a != b for a, b in zip(one.tolist(), other.tolist(), strict=True)], dtype=np.bool_)
    a, b = one.astype(np.float64), other.astype(np.float64)
    return ~np.isclose(a, b, rtol=1e-6, atol=1e-12, equal_nan=True)


# --- column by column -------------------------------------------------------------------------------------


def column_health(before: Profile, values: Values, *, look_for_unit: bool = True) -> list[Trouble]:
    """Null, unseen, frozen, or in another unit, against the profile of the incumbent's training rows."""
    now = count(before, values)
    if now.n_rows < FEWEST or before.n_rows < FEWEST:
        return []
    name, found = before.column, []
    for what, bins in (("null", ("null", "NaN")), ("unseen", ("unseen",))):
        shares = [sum(side.share(b) for b in bins if b in side.bin_names) for side in (before, now)]
        if shares[1] - shares[0] > GROWN:
            sentence = f"{name}: {shares[1]:.0%} are {what}, {shares[0]:.0%} in training"
            found.append(Trouble(what, name, sentence, share=shares[1]))
    if found:
        return found
    if _frozen(now) and not _frozen(before):
        return [
            Trouble("constant", name, f"{name}: every row has the same value, which was not so in training")
        ]
    return _unit(before, values) if look_for_unit and before.kind == "numeric" else []


def _frozen(of: Profile) -> bool:
    filled = of.n_rows - sum(c for n, c in zip(of.bin_names, of.counts, strict=True) if n in ("null", "NaN"))
    if not filled:
        return False
    return of.moments.low == of.moments.high if of.kind == "numeric" else max(of.counts[:-1]) == filled


def _unit(before: Profile, values: Values) -> list[Trouble]:
    """A unit that explains the shift far better than a season would: within a tenth of a spread, from
    beyond one.
    """
    if before.moments.n < FEWEST or np.isfinite(values.astype(np.float64)).sum() < FEWEST:
        return []
    found = suggest_unit(before, profile(before.column, values))
    if found is None or found.distance > UNIT_DISTANCE or found.distance_unchanged < UNIT_MOVED:
        return []
    shift = f" {'+' if found.shift > 0 else '-'} {abs(found.shift):.6g}" if found.shift else ""
    sentence = f"{before.column}: looks like {found.name} (now = {found.factor:.6g} x before{shift})"
    return [Trouble("unit", before.column, sentence)]


def label_rates(labels: Values, partitions: Values) -> list[Trouble]:
    """Partitions whose rate of a class is unlike the others': sure (robust z of the logit) and large (25
    points).

    Or in which a class is gone that 20 rows were expected of. Median and MAD over partitions, so that the
    broken ones do not hide themselves (Iglewicz & Hoaglin 1993).
    """
    names, index = np.unique(partitions, return_inverse=True)
    sizes = np.bincount(index)
    if len(names) < FEWEST_PARTITIONS:
        return []
    found = []
    for one in np.unique(labels.astype(np.float64))[1:]:  # the first class's rate follows from the others
        hits = np.bincount(index, (labels == one).astype(np.float64))
        for row in _unlike(hits, sizes):
            rate, usual = hits[row] / sizes[row], float(np.median(hits / sizes))
            sentence = f"label {one:g}: {rate:.0%} of partition {names[row]}, usually {usual:.0%}"
            found.append(Trouble("label_rate", None, sentence, share=float(sizes[row] / sizes.sum())))
    return found


def _unlike(hits: npt.NDArray[Any], sizes: npt.NDArray[np.int64]) -> list[int]:
    rates, logit = hits / sizes, np.log((hits + 0.5) / (sizes - hits + 0.5))
    middle = float(np.median(logit))
    spread = 1.4826 * float(np.median(np.abs(logit - middle)))
    moved = np.abs(rates - np.median(rates)) > RATE_MOVED
    sure = (np.abs(logit - middle) > ROBUST_Z * max(spread, 1e-9)) & (sizes >= FEWEST)
    usual = float(np.median(rates))
    gone = ((hits == 0) & (sizes * usual >= 20)) | ((hits == sizes) & (sizes * (1 - usual) >= 20))
    return [int(row) for row in np.flatnonzero((moved & sure) | gone)]
