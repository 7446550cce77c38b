"""A linear model with all its preprocessing folded into one matrix: what the answering path runs, with numpy alone.

In: a spec as JSON and a Signature. Out: link(X·W + intercept), where a null adds what its column says, and a category
the vector of its table. In float64, to rounding what the pipeline says (`runtimes.fold` makes the spec, and proves it).
Each row is summed by itself, so that its answer is the same bit for bit whatever the other rows are.

    link       identity | exp | sigmoid (one output, of the second class) | softmax | one_vs_rest
    intercept  [n_outputs]
    numbers    [{column, element: its place in a number array, weights [n_outputs],
                 null: what a null adds [n_outputs], or null: it is refused}]
    tables     [{column, keys, vectors [n_keys][n_outputs], other [n_outputs], null [n_outputs]}], null as above

What is refused is answered by NaN, which `base.checked` turns into an error, and the fallback answers.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from incumbent.errors import ArtefactRefused
from incumbent.records import Column, Json, Signature
from incumbent.runtimes.base import SCALAR, Columns, Floats, Opening, matrix_of, n_rows

PART = "twin.linear.json"


class Linear:
    """A folded linear model. Raises ArtefactRefused for a spec that does not suit the signature."""

    runtime = "linear"

    def __init__(self, spec: Mapping[str, Json], signature: Signature) -> None:
        self.signature = signature
        taken = [column for column in signature.columns if column.type in (*SCALAR, "numbers")]
        self._names = [column.name for column in taken]
        self._arrays = any(column.type == "numbers" for column in taken)
        self._places = {place: i for i, place in enumerate(p for column in taken for p in _places(column))}
        self._intercept = _vector(spec["intercept"])
        self._link = _links(signature, len(self._intercept)).get(spec["link"], _unknown)
        if self._link is _unknown:
            raise ArtefactRefused(f"found the link {spec['link']!r} with {len(self._intercept)} outputs, which does "
                                  f"not suit a {signature.kind} task of {len(signature.classes)} classes")  # fmt: skip
        outputs = len(self._intercept)
        self._weights, self._nulls = np.zeros((outputs, len(self._places))), np.zeros((len(self._places), outputs))
        self._used = np.zeros(len(self._places), dtype=bool)
        for entry in spec["numbers"]:
            place = self._place(entry["column"], entry.get("element"))
            self._weights[:, place] = _vector(entry["weights"])
            self._nulls[place], self._used[place] = _vector(entry["null"], outputs), True
        self._fills = ~np.isnan(self._nulls).any(axis=1)
        self._tables = [_Table(entry, signature, outputs) for entry in spec["tables"]]
        self._row = self._weights[0] if outputs == 1 else None

    def predict(self, columns: Columns) -> Floats:
        """Answer n_rows rows."""
        matrix = np.column_stack([columns[n] for n in self._names]) if self._arrays else matrix_of(columns, self._names)
        summed = self._sums(np.ascontiguousarray(matrix), n_rows(columns))
        for table in self._tables:
            summed += table.vectors(columns[table.column])
        return self._link(summed)

    def predict_matrix(self, matrix: Floats) -> Floats:
        """Answer the rows of a matrix of all columns (`base.TakesMatrix`)."""
        summed = self._sums(np.ascontiguousarray(matrix), len(matrix))
        for table in self._tables:
            summed += table.vectors(matrix[:, self._names.index(table.column)])
        return self._link(summed)

    def _sums(self, matrix: Floats, rows: int) -> Floats:
        """(n_rows, n_outputs) of the numbers and the intercept; not finite where a row is refused."""
        if not self._names:
            return np.tile(self._intercept, (rows, 1))
        summed = self._products(matrix)
        if _any_nan(summed):
            filled, null = self._filled(matrix)
            summed = self._products(filled)
            for place in np.flatnonzero(null.any(axis=0)).tolist():  # column by column: each row by itself
                summed += null[:, place, None] * self._nulls[place]
        summed += self._intercept
        return summed

    def _products(self, matrix: Floats) -> Floats:
        # vecdot sums each row by itself; a product of matrices groups rows, and differs in the last bit.
        if self._row is not None:
            return np.asarray(np.vecdot(matrix, self._row))[:, None]
        return np.asarray(np.vecdot(matrix[:, None, :], self._weights))

    def _filled(self, matrix: Floats) -> tuple[Floats, npt.NDArray[np.bool_]]:
        """The matrix with 0 for each null that is not refused and in columns that the model does not use."""
        null = np.isnan(matrix) & self._fills
        filled = np.where(null | ~self._used, 0.0, matrix)
        return filled, null

    def _place(self, column: str, element: int | None) -> int:
        if (column, element) not in self._places:
            shown = column if element is None else f"{column}[{element}]"
            raise ArtefactRefused(f"the model reads the number {shown!r}; the signature has {', '.join(self._names)}")
        return self._places[column, element]


class _Table:
    """What each category of one column adds."""

    def __init__(self, entry: Mapping[str, Json], signature: Signature, outputs: int) -> None:
        self.column: str = entry["column"]
        if self.column not in signature.names:
            raise ArtefactRefused(f"the model reads {self.column!r}; the signature has {', '.join(signature.names)}")
        self._place: dict[Any, int] = {key: i for i, key in enumerate(entry["keys"])}
        if None in self._place:
            raise ArtefactRefused(f"column {self.column!r}: found null among the keys, expected it as `null`")
        self._other, self._null = len(self._place), len(self._place) + 1
        rows = [*entry["vectors"], entry["other"], entry["null"]]
        self._vectors = np.array([_vector(row, outputs) for row in rows])

    def vectors(self, values: npt.NDArray[Any]) -> Floats:
        """(n_rows, n_outputs)."""
        place, other, null = self._place, self._other, self._null
        found = [null if v is None or v != v else place.get(v, other) for v in values.tolist()]
        return self._vectors[found]


def load(content: bytes, opening: Opening) -> Linear:
    """The model that `fold` wrote. Raises ArtefactRefused when it is none."""
    try:
        return Linear(json.loads(content), opening.signature)
    except (KeyError, TypeError, ValueError) as error:
        raise ArtefactRefused(f"this is no folded linear model: {type(error).__name__}: {error}") from error


def _places(column: Column) -> list[tuple[str, int | None]]:
    """The columns of the matrix that a column is."""
    return [(column.name, i) for i in range(column.length or 0)] if column.type == "numbers" else [(column.name, None)]


def _vector(values: Json, size: int = 1) -> Floats:
    """NaN where the spec says null: such a row is refused."""
    return np.full(size, np.nan) if values is None else np.asarray(values, dtype=np.float64)


def _any_nan(values: Floats) -> bool:
    if values.size == 1:
        value = values.item()
        return bool(value != value)
    return bool(np.isnan(values).any())


def _links(signature: Signature, outputs: int) -> Mapping[str, Callable[[Floats], Floats]]:
    """The links that suit a task."""
    classes = len(signature.classes)
    if not signature.classifies:
        return {"identity": _identity, "exp": _exp} if outputs == 1 else {}
    if classes == 2 and outputs == 1:
        return {"sigmoid": _sigmoid}
    return {"softmax": _softmax, "one_vs_rest": _one_vs_rest} if classes == outputs else {}


def _unknown(summed: Floats) -> Floats:
    raise NotImplementedError


def _identity(summed: Floats) -> Floats:
    return summed[:, 0]


def _exp(summed: Floats) -> Floats:
    return np.exp(np.minimum(summed[:, 0], _LARGEST))


def _sigmoid(summed: Floats) -> Floats:
    output = np.empty((len(summed), 2))
    second = _logistic(summed[:, 0])
    np.subtract(1.0, second, out=output[:, 0])
    output[:, 1] = second
    return output


def _softmax(summed: Floats) -> Floats:
    powers = np.exp(summed - summed.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def _one_vs_rest(summed: Floats) -> Floats:
    found = _logistic(summed)
    return np.asarray(found / found.sum(axis=1, keepdims=True))


def _logistic(values: Floats) -> Floats:
    return np.asarray(1.0 / (1.0 + np.exp(np.minimum(-values, _LARGEST))))


_LARGEST = 700.0
"""Beyond it exp overflows."""
