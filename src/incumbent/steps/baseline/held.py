"""The rows that rules are judged on, and from which points in time.

In: nothing. Out: `HeldOut`, what a caller hands over, and `Reference`, what somebody else said of the same rows.
Computes nothing but an even choice of rows.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from incumbent.records import Json
from incumbent.runtimes.base import Columns, Floats

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Origin:
    """A point in time at which the rules are fitted again.

    `rows` are the places of the held-out rows that are judged from here, `known` those of the held-out rows whose
    label was known by then: they train too.
    """

    rows: Ints
    known: Ints


class HeldOut(NamedTuple):
    """Typed columns of n rows, truth (n,), and what depends on what.

    `blocks` (n,): rows of one label may depend on each other. `series` (n,): which series a row belongs to, from 0.
    `origins` together hold each row once; without them the rules are fitted once, on the training rows.
    """

    columns: Columns
    truth: npt.NDArray[Any]
    blocks: Ints | None = None
    series: Ints | None = None
    origins: tuple[Origin, ...] = ()


@dataclass(frozen=True, slots=True)
class Reference:
    """What somebody else says of held-out rows: a system that is in place, a function, a model behind an address.

    `output` is (k, n_classes) probabilities or (k,) numbers for the rows at the places `rows` (k,); None: all of them.
    `facts` go into the evidence. `answers`: it may be asked about new rows too.
    """

    name: str
    output: Floats
    rows: Ints | None = None
    facts: Mapping[str, Json] = field(default_factory=dict)
    answers: bool = False


def evenly(n_rows: int, most: int) -> Ints:
    """At most `most` places, evenly over `n_rows` rows; a choice is made on these, a value never.

    >>> evenly(10, 4).tolist()
    [0, 3, 6, 9]
    """
    return np.linspace(0, n_rows - 1, min(n_rows, most)).astype(np.int64)


def taken(columns: Columns, places: Ints) -> dict[str, npt.NDArray[Any]]:
    """Some rows of the columns."""
    return {name: values[places] for name, values in columns.items()}
