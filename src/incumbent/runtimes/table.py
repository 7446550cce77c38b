"""Columns that lie in one matrix: what a batch of numbers is, for who can take it whole.

In: a float64 matrix (n_rows, n_columns) and the names of its columns. Out: a `Columns` mapping whose columns are views,
so that every predictor may read it by name, and one that works on matrices takes `matrix` without a copy.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from incumbent.runtimes.base import Columns

Matrix = npt.NDArray[np.float64]


class Table(Mapping[str, npt.NDArray[Any]]):
    """Numeric columns by name, over one matrix in the order of `names`.

    >>> table = Table(np.array([[1.0, 2.0], [3.0, 4.0]]), ("a", "b"))
    >>> table["b"], len(table), list(table)
    (array([2., 4.]), 2, ['a', 'b'])
    """

    __slots__ = ("_places", "matrix", "names")

    def __init__(self, matrix: Matrix, names: tuple[str, ...], places: Mapping[str, int] | None = None) -> None:
        self.matrix, self.names = matrix, names
        self._places = {name: i for i, name in enumerate(names)} if places is None else places

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        return self.matrix[:, self._places[name]]

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def take(self, rows: Sequence[int]) -> "Table":
        """Some of the rows."""
        return Table(self.matrix[np.asarray(rows)], self.names, self._places)


def take(columns: Columns, rows: Sequence[int]) -> Columns:
    """Some rows of any columns."""
    if isinstance(columns, Table):
        return columns.take(rows)
    index = np.asarray(rows)
    return {name: values[index] for name, values in columns.items()}


def joined(parts: Sequence[Columns]) -> Columns:
    """Several batches of the same columns as one."""
    first = parts[0]
    if len(parts) == 1:
        return first
    if isinstance(first, Table) and all(isinstance(part, Table) and part.names == first.names for part in parts):
        return Table(np.concatenate([part.matrix for part in parts if isinstance(part, Table)]), first.names)
    return {name: np.concatenate([part[name] for part in parts]) for name in first}
