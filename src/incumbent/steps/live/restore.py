"""What would the loss be, had this column stayed as it was? Puts one column back to the reference.

In: a column as served and its training profile. Out: the column as it might have been, and in what way it
was put back: by undoing a known unit, by the quantile map (each value to the reference's value of the same
rank), or, for categories that training never saw, by known ones in the reference's shares. A null cannot be
undone: it stays.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from incumbent.stats import profile as profiles
from incumbent.stats import skew
from incumbent.stats.metrics import Floats
from incumbent.stats.profile import Profile

Values = npt.NDArray[Any]


def restored(reference: Profile, values: Values) -> tuple[Values, str]:
    """The column put back, and how, in words."""
    if reference.kind == "category":
        return _known_categories(reference, values), "with known categories in their place"
    numbers = np.asarray(values, dtype=np.float64)
    finite = np.isfinite(numbers)
    if not finite.any() or not reference.moments.n:
        return numbers, "as it is: there is no number to put back"
    unit = _unit(reference, numbers[finite])
    back = numbers.copy()
    if unit is not None:
        back[finite] = (numbers[finite] - unit.shift) / unit.factor
        return back, f"with its unit undone ({unit.name})"
    back[finite] = profiles.quantiles(reference, _ranks(numbers[finite]))
    return back, "on the reference's quantiles"


def _unit(reference: Profile, finite: Floats) -> skew.UnitSuggestion | None:
    return skew.suggest_unit(reference, profiles.profile(reference.column, finite, kind="numeric"))


def _ranks(values: Floats) -> Floats:
    """Rank of each value in 0-1; equal values share the middle of their ranks.

    >>> _ranks(np.array([5.0, 1.0, 1.0, 9.0])).tolist()
    [0.625, 0.25, 0.25, 0.875]
    """
    _, index, counts = np.unique(values, return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - counts / 2
    return np.asarray(middle[index] / len(values), dtype=np.float64)


def _known_categories(reference: Profile, values: Values) -> Values:
    """Categories that training never saw, replaced evenly by the counted ones in the reference's shares."""
    counted = np.array(reference.counts[: len(reference.categories)], dtype=np.float64)
    seen = {*reference.categories, *reference.known}
    strange = np.flatnonzero([not profiles.is_null(value) and str(value) not in seen for value in values])
    back = np.array(values, dtype=object)
    if len(strange) and counted.sum():
        shares = np.cumsum(counted) / counted.sum()
        evenly = (np.arange(len(strange)) * 0.6180339887498949 + 0.5) % 1.0
        back[strange] = np.array(reference.categories, dtype=object)[np.searchsorted(shares, evenly)]
    return back
