"""Measured people as a version: a lookup of what they said of the rows of their study, or a published figure.

In: rows and one answer each. Out: a Predictor that repeats these answers and refuses any other row: it is a reference
to compare with, and answers nobody. Rows are kept as hashes, so the part holds no feature. Rows that are equal in every
feature share their answers: the mean of them.
"""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any

import numpy as np

from incumbent.errors import ArtefactRefused, NotAnswering
from incumbent.records import Json, Signature
from incumbent.runtimes import signature as signatures
from incumbent.runtimes.base import Columns, Floats, Opening
from incumbent.storage.base import Blobs

PART = "people.json"


class People:
    """What people said of the rows of a study. `answers` maps the hash of a row to its probabilities, or its number.

    >>> from incumbent.records import Column
    >>> people = People({}, Signature((Column("x", "number"),), "binary", (0, 1)), "s1")
    >>> people.predict({"x": np.array([1.0])})
    Traceback (most recent call last):
    incumbent.errors.NotAnswering: row 0 is none of the rows that people labelled in study s1: people answer no new rows
    """

    runtime = "people"

    def __init__(self, answers: Mapping[str, Json], signature: Signature, study: str) -> None:
        self.answers, self.signature, self.study = dict(answers), signature, study

    def predict(self, columns: Columns) -> Floats:
        """Repeat what was said; NotAnswering for a row that was in no study."""
        keys = hashes(signatures.to_rows(columns, self.signature))
        missing = [row for row, key in enumerate(keys) if key not in self.answers]
        if missing:
            raise NotAnswering(
                f"row {missing[0]} is none of the rows that people labelled in study {self.study}: "
                "people answer no new rows"
            )
        return np.array([self.answers[key] for key in keys], dtype=np.float64)


def lookup(columns: Columns, output: Floats, signature: Signature, study: str) -> People:
    """The version for these rows (n) and one answer each: (n, n_classes) with a one, or (n,) numbers."""
    same: dict[str, list[Any]] = defaultdict(list)
    for key, said in zip(hashes(signatures.to_rows(columns, signature)), output, strict=True):
        same[key].append(said)
    return People({key: np.mean(said, axis=0).tolist() for key, said in same.items()}, signature, study)


def hashes(rows: Sequence[Mapping[str, Json]]) -> list[str]:
    """The key of each row: 128 bits of its JSON."""
    return [
        blake2b(json.dumps(row, sort_keys=True, ensure_ascii=False).encode(), digest_size=16).hexdigest()
        for row in rows
    ]


def pack(people: Any, opening: Opening) -> tuple[str, bytes]:
    """The part of a version that holds the answers."""
    return PART, _json({"study": people.study, "answers": people.answers})


def load(content: bytes, opening: Opening) -> People:
    """The people that `pack` wrote. ArtefactRefused for a published figure, which has no answers."""
    found = json.loads(content)
    if "answers" not in found:
        raise ArtefactRefused(
            f"it is a published figure ({found['accuracy']:g} on {found['n']:,} rows): there are no answers to load"
        )
    return People(found["answers"], opening.signature, found["study"])


def published(blobs: Blobs, signature: Signature, figure: Mapping[str, Json], format: int) -> str:
    """Keep a figure that somebody published, as the manifest of a version without answers; its hash."""
    return blobs.put(_json({
        "format": format, "runtime": "people", "signature": signatures.to_json(signature), "schema": None,
        "parts": {PART: blobs.put(_json(dict(figure)))}, "serves": PART,
        "golden": blobs.put(_json({"rows": [], "outputs": {PART: []}})), "profile": None, "libraries": {}, "facts": {},
        "compile": {"made": False, "part": None, "reason": "people are no program", "max_difference": None,
                    "refused": {}},
    }))  # fmt: skip


def figure(blobs: Blobs, manifest: Mapping[str, Json]) -> dict[str, Json] | None:
    """The published figure of a version, None where it is a study's lookup."""
    found: dict[str, Json] = json.loads(blobs.get(manifest["parts"][PART]))
    return None if "answers" in found else found


def _json(value: Json) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
