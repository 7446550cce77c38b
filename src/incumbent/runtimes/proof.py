"""Is a compiled twin the equal of the estimator that it stands for?

In: the native predictor, and a sample of training rows. Out: for each twin the largest difference found, or why it
is not equal. Equal means: on the sample, with each nullable column null in turn and with an unseen category in each
string column, probabilities differ by at most the tolerance (numbers by that share of their size), no class flips,
and the twin refuses what the native one refuses. Every kind of twin is proved here. On the judging path.
"""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
import numpy.typing as npt

from incumbent.records import Signature
from incumbent.runtimes.base import Columns, Floats, Predictor, n_rows

TOLERANCE = 1e-4
UNSEEN = "\u2203 never seen"
"""A category that no training row has."""
_ENDS = {2.0**bits - 1 for bits in (7, 8, 15, 16, 31, 32)}


@dataclass(frozen=True, slots=True)
class Twin:
    """A proved twin: its bytes, and the largest difference found (probability, or share of a number's size)."""

    content: bytes
    max_difference: float
    n_rows: int


class Proof:
    """What the native predictor says of the rows of the proof (see `probes`), to hold twins against.

    2,000 sample rows or more make a good proof: ties with a threshold are rare.
    """

    def __init__(self, native: Predictor, sample: Columns) -> None:
        self.signature, self.n_rows = native.signature, n_rows(sample)
        self.groups: Mapping[str, Columns] = probes(sample, native.signature)
        self.expected = {name: _answers(native, group) for name, group in self.groups.items()}

    def of(self, twin: Predictor, content: bytes, tolerance: float = TOLERANCE) -> Twin | str:
        """The twin that these bytes hold, or why it is not equal. What `twin` raises is a refusal of the rows."""
        found = {name: _answers(twin, group) for name, group in self.groups.items()}
        compared = {n: compare(self.expected[n], found[n], self.signature, tolerance) for n in self.groups}
        unequal = [f"{name}: {why}" for name, (_, why) in compared.items() if why]
        if unequal:
            return "; ".join(unequal[:3])
        return Twin(content, max(difference for difference, _ in compared.values()), self.n_rows)


def probes(sample: Columns, signature: Signature) -> dict[str, Columns]:
    """The rows of the proof by what they are: the sample; 50 of them with each nullable column null in turn, and
    with all of these null; 50 with a category never seen in each string column, and with a whole number never seen in
    each integer column; and for each column of decimals values that lie between those of the sample, on which trees
    put their thresholds."""
    picked = np.unique(np.linspace(0, n_rows(sample) - 1, min(50, n_rows(sample))).astype(int))
    few = {name: sample[name][picked] for name in signature.names}
    groups: dict[str, Columns] = {"training rows": {name: sample[name] for name in signature.names}}
    nulls: dict[str, Any] = {}
    for column in signature.columns:
        if column.type == "string":
            unseen = np.full(len(picked), UNSEEN, dtype=object)
            groups[f"{column.name} never seen"] = {**few, column.name: unseen}
        elif column.type == "integer" and (strange := _unseen_whole(sample[column.name])) is not None:
            groups[f"{column.name} never seen"] = {**few, column.name: np.full(len(picked), strange)}
        elif column.type == "number" and len(middles := between(sample[column.name])):
            rows = np.resize(picked, len(middles))
            some = {name: sample[name][rows] for name in signature.names}
            groups[f"{column.name} between known values"] = {**some, column.name: middles}
        if column.nullable:
            null = _nulls(few[column.name])
            nulls[column.name] = null
            groups[f"{column.name} null"] = {**few, column.name: null}
    return {**groups, "all columns null": {**few, **nulls}} if nulls else groups


def between(values: Floats, most: int = 300) -> Floats:
    """Up to `most` short decimals in the middle of neighbouring values; none where the values are no decimals.

    >>> between(np.array([0.22, 0.24, np.nan, 0.3]))
    array([0.23, 0.27])
    """
    known = np.unique(values[np.isfinite(values)])
    places = next((d for d in range(7) if np.array_equal(np.round(known, d), known)), None)
    if places is None or len(known) < 2:
        return np.empty(0)
    middles = np.round((known[1:] + known[:-1]) / 2, places + 1)
    picked = np.unique(np.linspace(0, len(middles) - 1, min(most, len(middles))).astype(int))
    return np.asarray(middles[picked], dtype=np.float64)


def _nulls(like: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.full(like.shape, None if like.dtype == object else np.nan, dtype=like.dtype)


def _unseen_whole(values: Floats) -> float | None:
    """The smallest whole number above the least one that the sample lacks; None where a dtype of 8 to 32 bits may end
    before it."""
    known = set(values[np.isfinite(values)].tolist())
    if not known:
        return None
    found = next(v for v in count(min(known)) if v not in known)
    return None if found - 1 in _ENDS else found


def compare(
    expected: Floats | None, found: Floats | None, signature: Signature, tolerance: float = TOLERANCE
) -> tuple[float, str | None]:
    """The largest difference, and why the two are not equal (None: they are). None is a refusal of the rows: where
    the native one refuses, the twin must give no number, so that the fallback answers either way."""
    if expected is None:
        answers = found is not None and np.isfinite(found).any()
        return 0.0, "the twin answers what the native one refuses" if answers else None
    if found is None:
        return float("inf"), "the twin refuses what the native one answers"
    if expected.shape != found.shape:
        return float("inf"), f"found an output of shape {found.shape}, expected {expected.shape}"
    if not signature.classifies:
        size = np.maximum(np.abs(expected), np.abs(expected).mean())
        differences = np.abs(found - expected) / np.where(size > 0, size, 1.0)
        return _verdict(differences, np.zeros(len(expected), dtype=bool), tolerance)
    differences = np.abs(found - expected).max(axis=1)
    top = np.sort(expected, axis=1)
    flips = (found.argmax(axis=1) != expected.argmax(axis=1)) & (top[:, -1] - top[:, -2] >= tolerance)
    return _verdict(differences, flips, tolerance)


def _answers(predictor: Predictor, columns: Columns) -> Floats | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of unseen categories: what it answers counts
            return predictor.predict(columns)
    except Exception:  # an estimator may refuse nulls or unseen categories with any error
        return None


def _verdict(differences: Floats, flips: Any, tolerance: float) -> tuple[float, str | None]:
    largest = float(differences.max(initial=0.0))
    if not np.isfinite(differences).all():
        return float("inf"), "it gives no finite number on some row"
    wrong = int((differences > tolerance).sum())
    if wrong:
        return largest, f"differs by up to {largest:.2g} on {wrong} of {len(differences)} rows (allowed {tolerance:g})"
    if flips.any():
        return largest, f"another class wins on {int(flips.sum())} of {len(differences)} rows"
    return largest, None
