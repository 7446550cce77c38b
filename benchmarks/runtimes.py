"""How long do predictors take to answer 1 to 1,000 rows that are ready as columns, or as one matrix?

In: this machine, one thread. Out: microseconds a call, and the ratio to bare numpy, 1/(1+exp(-(X@w+b))) on a ready
matrix of 30 columns. Every call gets other rows: with the same ones the processor learns the branches of trees.
"""

import json
import sys
import warnings
from collections.abc import Callable, Iterator
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd
from lightgbm import LGBMClassifier
from sklearn.linear_model import LogisticRegression

from incumbent.config import Task, Versions
from incumbent.records import Signature
from incumbent.runtimes import compile as compiling
from incumbent.runtimes import fold, frames, lightgbm, schema
from incumbent.runtimes.base import Columns, Floats, Opening, checked
from incumbent.runtimes.linear import Linear
from incumbent.runtimes.onnx import Onnx
from incumbent.runtimes.proof import Proof, Twin
from incumbent.runtimes.sklearn import Fitted

SIZES = (1, 16, 64, 256, 1000)
COLUMNS = 30
ROWS = 20_000
Call = Callable[[Any], Any]


def training_rows() -> pd.DataFrame:
    """30 float columns and a label that trees and lines can learn."""
    draw = np.random.default_rng(0)
    values = draw.normal(size=(ROWS, COLUMNS))
    rows = pd.DataFrame(values, columns=[f"x{i}" for i in range(COLUMNS)])
    rows["late"] = (values[:, 0] + values[:, 1] * values[:, 2] + draw.normal(size=ROWS) > 0).astype(int)
    return rows


def parts(matrix: Floats, size: int) -> list[Floats]:
    """Up to 300 stretches of `size` rows."""
    return [np.ascontiguousarray(matrix[i : i + size]) for i in range(0, ROWS - size + 1, size)][:300]


def microseconds(call: Call, batches: list[Any]) -> float:
    """The median over nine rounds of the mean over all batches."""

    def once() -> float:
        start = perf_counter()
        for batch in batches:
            call(batch)
        return (perf_counter() - start) / len(batches) * 1e6

    once()
    return median(once() for _ in range(9))


def made(found: Twin | str) -> bytes:
    """The bytes of a twin; it must have been proved."""
    if isinstance(found, str):
        raise SystemExit(f"no twin: {found}")
    return found.content


def contestants(rows: pd.DataFrame) -> Iterator[tuple[str, str, Call]]:
    """(name, what it takes, call)."""
    names = [name for name in rows if name != "late"]
    task = Task("late", "binary", "late", "brier", features=tuple(names))
    signature = frames.infer_signature(rows, task)
    columns = frames.columns(rows, signature)
    line = LogisticRegression().fit(rows[names], rows["late"])
    weights, intercept = line.coef_[0].copy(), float(line.intercept_[0])
    yield "bare numpy", "matrix", lambda x: 1 / (1 + np.exp(-(x @ weights + intercept)))
    yield from linear_ones(line, signature, columns, rows)
    trees = LGBMClassifier(n_estimators=300, num_leaves=31, n_jobs=1, verbose=-1).fit(rows[names], rows["late"])
    yield from tree_ones(trees, signature, columns, rows)
    outputs = np.full((1000, 2), 0.5)
    yield "checked", "matrix", lambda x: checked(outputs[: len(x)], signature, len(x))


def linear_ones(model: Any, signature: Signature, columns: Columns, rows: Any) -> Iterator[tuple[str, str, Call]]:
    """The folded linear twin and the ONNX twin of a logistic regression."""
    native = Fitted(model, signature, schema.of(rows))
    proof = Proof(native, columns)
    linear = Linear(json.loads(made(fold.linear_twin(native, proof))), signature)
    yield "linear", "columns", linear.predict
    yield "linear", "matrix", linear.predict_matrix
    yield from onnx_ones("linear as ONNX", native, proof)


def tree_ones(model: Any, signature: Signature, columns: Columns, rows: Any) -> Iterator[tuple[str, str, Call]]:
    """300 trees of 31 leaves, as ONNX and through LightGBM's C library."""
    native = Fitted(model, signature, schema.of(rows))
    proof = Proof(native, columns)
    yield from onnx_ones("LightGBM as ONNX", native, proof)
    twin = lightgbm.load(made(fold.lightgbm_twin(native, proof)), Opening(signature, Versions()))
    yield "LightGBM's C library", "columns", twin.predict
    yield "LightGBM's C library", "matrix", twin.predict_matrix


def onnx_ones(name: str, native: Fitted, proof: Proof) -> Iterator[tuple[str, str, Call]]:
    """The ONNX twin."""
    twin = Onnx(made(compiling.proved(native, proof)), native.signature)
    yield name, "columns", twin.predict
    yield name, "matrix", twin.predict_matrix


def main() -> int:
    warnings.simplefilter("ignore")
    rows = training_rows()
    matrix = rows.drop(columns="late").to_numpy()
    names = [name for name in rows if name != "late"]
    batches = {size: parts(matrix, size) for size in SIZES}
    feeds = {n: [dict(zip(names, b.T.copy(), strict=True)) for b in found] for n, found in batches.items()}
    print(f"{'microseconds a call (times bare numpy)':40}" + "".join(f"{f'{n} rows':>18}" for n in SIZES))
    bare: list[float] = []
    for name, takes, call in contestants(rows):
        took = [microseconds(call, (batches if takes == "matrix" else feeds)[size]) for size in SIZES]
        bare = bare or took
        shown = "".join(f"{f'{t:.1f} ({t / b:.1f})':>18}" for t, b in zip(took, bare, strict=True))
        print(f"{f'{name}, from {takes}':40}{shown}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
