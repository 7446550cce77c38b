"""What a system that answers no new rows said of the rows that it was asked about: a version to compare with.

In: the rows of a comparison and one answer each (of a column, a function, a model). Out: a Predictor that repeats these
answers and refuses any other row. Rows are kept as hashes, so the part holds no feature. Rows that are equal in every
feature share their answers: the mean of them. (`people` is the same for measured people.)
"""

import json
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np

from incumbent.errors import NotAnswering
from incumbent.records import Json, Signature
from incumbent.runtimes import signature as signatures
from incumbent.runtimes.base import Columns, Floats, Opening
from incumbent.runtimes.people import hashes

PART = "reference.json"


class Kept:
    """What `name` said. `answers` maps the hash of a row to its probabilities, or its number.

    >>> from incumbent.records import Column
    >>> kept = Kept("column old", {}, Signature((Column("x", "number"),), "binary", (0, 1)))
    >>> kept.predict({"x": np.array([1.0])})
    Traceback (most recent call last):
    incumbent.errors.NotAnswering: row 0 is none of those that column old was asked about: it answers no new rows
    """

    runtime = "reference"

    def __init__(self, name: str, answers: Mapping[str, Json], signature: Signature) -> None:
        self.name, self.answers, self.signature = name, dict(answers), signature

    def predict(self, columns: Columns) -> Floats:
        """Repeat what was said; NotAnswering for a row that nobody asked about."""
        keys = hashes(signatures.to_rows(columns, self.signature))
        missing = [row for row, key in enumerate(keys) if key not in self.answers]
        if missing:
            raise NotAnswering(
                f"row {missing[0]} is none of those that {self.name} was asked about: it answers no new rows"
            )
        return np.array([self.answers[key] for key in keys], dtype=np.float64)


def kept(name: str, columns: Columns, output: Floats, signature: Signature) -> Kept:
    """The version for these rows (n) and one answer each: (n, n_classes) or (n,)."""
    same: dict[str, list[Any]] = defaultdict(list)
    for key, said in zip(hashes(signatures.to_rows(columns, signature)), output, strict=True):
        same[key].append(said)
    return Kept(name, {key: np.mean(said, axis=0).tolist() for key, said in same.items()}, signature)


def pack(reference: Kept, opening: Opening) -> tuple[str, bytes]:
    """The part of a version that holds the answers."""
    content = {"name": reference.name, "answers": reference.answers}
    return PART, json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def load(content: bytes, opening: Opening) -> Kept:
    """The version that `pack` wrote."""
    found = json.loads(content)
    return Kept(str(found["name"]), found["answers"], opening.signature)
