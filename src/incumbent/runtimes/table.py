"""Columns that lie in one matrix: what a batch of numbers is, for who can take it whole.

In: a float64 matrix (n_rows, n_columns) and the names of its columns. Out: a `Columns` mapping whose columns are views,
so that every predictor may read it by name, and one that works on matrices takes `matrix` without a copy.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from incumbent.runtimes import base
from incumbent.runtimes.base import Columns, Floats, Predictor, takes_matrix

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

    def __reduce__(self) -> tuple[Any, ...]:
        """For a pipe: the bytes alone cost a tenth of a pickled array."""
        return _unpickled, (self.matrix.shape, self.matrix.tobytes(), self.names)

    def take(self, rows: Sequence[int]) -> "Table":
        """Some of the rows."""
        return Table(self.matrix[np.asarray(rows)], self.names, self._places)


def _unpickled(shape: tuple[int, int], content: bytes, names: tuple[str, ...]) -> Table:
    return Table(np.frombuffer(content).reshape(shape), names)


def asker(predictor: Predictor) -> Callable[[Columns], Floats]:
    """What a predictor says of columns, unchecked: one that can take a matrix whole gets it."""
    by_name, names = predictor.predict, predictor.signature.names
    if not takes_matrix(predictor):
        return by_name
    whole = predictor.predict_matrix

    def ask(columns: Columns) -> Floats:
        return whole(columns.matrix) if isinstance(columns, Table) and columns.names == names else by_name(columns)

    return ask


def n_rows(columns: Columns) -> int:
    """How many rows any columns hold."""
    return len(columns.matrix) if isinstance(columns, Table) else base.n_rows(columns)


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
