"""How many elements do two sets share, by small sketches of both?

In: 64-bit keys of the elements. Out: the k smallest of their hashes (a bottom-k sketch: Cohen & Kaplan, "Summarizing
data using bottom-k sketches", PODC 2007; for resemblance Broder, "On the resemblance and containment of documents",
1997), and from two sketches the share of one set that is in the other. Knows no rows: who has them makes the keys.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Keys = npt.NDArray[np.uint64]

SIZE = 128
"""Hashes of a sketch. A share of .5 is then known to ±.05 (one standard error), that of up to 128 elements exactly."""
DIGITS = 12
"""Hexadecimal digits of a hash as text: of a million elements two share one with a chance of .2 %."""


def mixed(*columns: npt.ArrayLike) -> Keys:
    """(n,) one 64-bit hash a row of columns of (n,) numbers or keys: the finaliser of splitmix64, column by column.

    >>> [hex(int(key)) for key in mixed([0, 1])]
    ['0xe220a8397b1dcdaf', '0x910a2dec89025cc1']
    """
    found: Keys | None = None
    for column in columns:
        bits = _bits(column)
        found = _finished(bits if found is None else found ^ bits)
    if found is None:
        raise ValueError("expected a column or more to hash")
    return found


def copies(keys: Keys) -> Keys:
    """(n,) the keys again, the second, third, … of equal ones made another: a set then counts as often as it should."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]) if len(keys) else np.zeros(0, dtype=np.int64)
    place = np.arange(len(keys)) - np.repeat(starts, np.diff(np.r_[starts, len(keys)]))
    number = np.empty(len(keys), dtype=np.uint64)
    number[order] = place.astype(np.uint64)
    return mixed(keys, number)


def sketch(keys: Keys, size: int = SIZE) -> str:
    """The smallest hashes of the set of these keys, as text, the smallest first."""
    hashes = np.unique(mixed(keys) >> np.uint64(64 - 4 * DIGITS))[:size]
    return "".join(f"{int(one):0{DIGITS}x}" for one in hashes)


def share_within(one: str, n_one: int, other: str, n_other: int, size: int = SIZE) -> float:
    """The share (0-1) of a set of `n_one` elements that is in another one of `n_other`, by their sketches.

    Resemblance J is the share of the smallest hashes of both together that are in both; |A∩B| = J(|A|+|B|)/(1+J).

    >>> first, second = np.arange(1000, dtype=np.uint64), np.arange(500, 1500, dtype=np.uint64)
    >>> round(share_within(sketch(first), 1000, sketch(second), 1000), 2)
    0.53
    """
    if not n_one or not n_other:
        return 0.0
    mine, its = set(_hashes(one)), set(_hashes(other))
    whole = max(len(mine), len(its)) < size  # then the sketches are the sets
    smallest = sorted(mine | its) if whole else sorted(mine | its)[:size]
    resemblance = sum(hash in mine and hash in its for hash in smallest) / len(smallest)
    return min(resemblance * (n_one + n_other) / (1.0 + resemblance) / n_one, 1.0)


def _hashes(text: str) -> Sequence[str]:
    return [text[i : i + DIGITS] for i in range(0, len(text), DIGITS)]


def _bits(column: npt.ArrayLike) -> Keys:
    values = np.asarray(column)
    if values.dtype == np.uint64:
        return values
    if np.issubdtype(values.dtype, np.floating):
        return np.ascontiguousarray(values + 0.0, dtype=np.float64).view(np.uint64)
    return values.astype(np.int64).view(np.uint64)


def _finished(bits: Keys) -> Keys:
    """Steele, Lea & Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014."""
    with np.errstate(over="ignore"):
        z = bits + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))
