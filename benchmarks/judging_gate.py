"""How long does the gate of a million held-out rows take, and how much memory, beyond the model's own predictions?

    python benchmarks/judging_gate.py [rows]

Each case runs three times in a process of its own; the median is printed. `arrays` gives the gate outputs and truth,
as Python does; `project` is `incumbent gate v3` on a project of that many held-out rows: split, labels, fingerprint,
12 slices, a second metric and the ledger too. The time of the predictions is taken off, and the memory that was there
before the gate began (the rows themselves). Wanted: at most 10 s and 2 GB a case.
"""

import contextlib
import resource
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

from incumbent import config
from incumbent.project import open_project
from incumbent.project.project import Project
from incumbent.stats import metrics
from incumbent.steps import gate

RUNS = 3
MOST_S, MOST_MB = 10.0, 2048.0
TOML = """
[task]
name = "a million"
kind = "binary"
target = "late"
metric = "{metric}"
time = "at"
timezone = "UTC"
features = ["x0", "x1", "x2", "x3", "x4"]
[gate]
holdout = 0.9
min_slice_size = 1000
[[gate.slice]]
column = "carrier"
no_worse_than = 0.01
[[gate.rule]]
metric = "f1"
no_worse_than = 0.01
"""


def rows_of(n: int, seed: int = 1) -> pd.DataFrame:
    """Ninety days of rows and ten before them to train on."""
    draw = np.random.default_rng(seed)
    at = pd.Timestamp("2024-01-01", tz="UTC") + pd.to_timedelta(np.sort(draw.integers(0, 100 * 86_400, n)), unit="s")
    numbers = {f"x{i}": draw.normal(size=n) for i in range(5)}
    late = draw.random(n) < 1 / (1 + np.exp(-(numbers["x0"] + 0.3 * numbers["x1"] - 1)))
    carrier = draw.choice(list("ABCDEFGHIJKL"), n)
    return pd.DataFrame({**numbers, "at": at, "carrier": carrier, "late": late.astype(int)})


def arrays(n: int, metric: str, blocks: bool) -> Callable[[], float]:
    """The gate on outputs; there are no predictions to take off."""
    draw = np.random.default_rng(0)
    truth = (draw.random(n) < 0.2).astype(np.int64)

    def output(signal: float) -> np.ndarray[Any, Any]:
        p = 1 / (1 + np.exp(-(signal * (truth - 0.5) + draw.normal(size=n))))
        return np.column_stack([1 - p, p])

    old, new, of = output(1.0), output(1.02), metrics.get(metric, "binary")
    days = np.sort(draw.integers(0, 90, n)) if blocks else None

    def run() -> float:
        found = gate.judge_outputs(of, truth, old, new, days, config.Gate(), "v2", "v1", 0)
        assert found.numbers["n_rows"] == n
        return 0.0

    return run


def project(n: int, metric: str, folder: Path) -> Callable[[], float]:
    """`incumbent gate v3` against v2; returns the seconds that the predictions took."""
    from sklearn.linear_model import LogisticRegression

    (folder / "incumbent.toml").write_text(TOML.format(metric=metric))
    opened = open_project(folder)
    rows = rows_of(int(n / 0.9))
    early = rows[rows["at"] < pd.Timestamp("2024-01-09", tz="UTC")]
    features = [f"x{i}" for i in range(5)]
    opened.baseline(early)
    for use, name in ((["x0"], "v2"), (["x0", "x1"], "v3")):
        model = LogisticRegression().fit(early[features] * [float(f in use) for f in features], early["late"])
        opened.register(model, early)
        opened.predictor(name)
    opened.promote("v2", "the benchmark says so")
    known = opened.read(rows)

    def run() -> float:
        spent = 0.0
        before = Project.predict

        def timed(self: Project, *arguments: Any) -> Any:
            nonlocal spent
            began = time.perf_counter()
            said = before(self, *arguments)
            spent += time.perf_counter() - began
            return said

        Project.predict = timed  # type: ignore[method-assign]
        found = opened.gate("v3", known)
        Project.predict = before  # type: ignore[method-assign]
        assert found.numbers["n_rows"] > 0.95 * n, found.sentence
        return spent

    return run


@contextlib.contextmanager
def peak() -> Iterator[list[float]]:
    """Megabytes above what the process had at the beginning, looked at every 5 ms."""
    page, found, over = resource.getpagesize() / 2**20, [0.0], threading.Event()

    def now() -> float:
        return int(Path("/proc/self/statm").read_text().split()[1]) * page

    start = now()

    def watch() -> None:
        while not over.wait(0.005):
            found[0] = max(found[0], now() - start)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()


def measured(case: str, n: int, metric: str, answers: Any) -> None:
    """One run, in a process of its own."""
    with TemporaryDirectory() as name:
        run = project(n, metric, Path(name)) if case == "project" else arrays(n, metric, case == "arrays, 90 days")
        with peak() as memory:
            began = time.perf_counter()
            predictions = run()
            seconds = time.perf_counter() - began - predictions
        answers.put((seconds, memory[0], predictions))


def main() -> None:
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    context = get_context("spawn")
    print(f"{n:,} held-out rows, median of {RUNS}: seconds and MB beyond the predictions (and the rows)")
    missed = False
    cases = [("arrays, rows", m) for m in ("brier", "roc_auc", "average_precision", "f1")]
    cases += [("arrays, 90 days", m) for m in ("brier", "roc_auc", "average_precision", "f1")]
    cases += [("project", m) for m in ("brier", "roc_auc")]
    for case, metric in cases:
        found = []
        for _ in range(RUNS):
            answers = context.Queue()
            process = context.Process(target=measured, args=(case, n, metric, answers))
            process.start()
            process.join()
            if process.exitcode:
                sys.exit(f"{case}, {metric}: the process ended with {process.exitcode}")
            found.append(answers.get())
        seconds, memory, predictions = (statistics.median(column) for column in zip(*found, strict=True))
        note = f"  (predictions: {predictions:.1f} s)" if predictions else ""
        print(f"{case:16} {metric:18} {seconds:6.2f} s {memory:7.0f} MB{note}", flush=True)
        missed |= seconds > MOST_S or memory > MOST_MB
    print(f"wanted: at most {MOST_S:g} s and {MOST_MB:g} MB: {'MISSED' if missed else 'met'}")
    sys.exit(missed)


if __name__ == "__main__":
    main()
