"""How long does step 1 take on a million rows, and how much memory? Wanted: 10 s and 2 GB.

A million rows of 20 columns (numbers, integers, booleans, texts of few and of many values, nulls) as a binary task by
Brier score and by roc_auc and as a regression, and a million steps of a forecast, in one series and in a thousand. In:
a DataFrame in memory. Out: what `incumbent baseline` does with it: every rule fitted and scored, the best one fitted
again on all rows, registered and promoted. Each case runs three times in a process of its own; the median of the
seconds is shown (and of the processor's, for a machine that others use too), and the most memory beyond what the
process held at most while the rows were made.

    python benchmarks/judging_baseline.py [rows]
"""

import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time

RUNS = 3
WANTED_S, WANTED_MB = 10.0, 2048
CASES = ("binary", "roc_auc", "regression", "forecast", "series")


def run(case: str, n_rows: int) -> dict[str, float | str]:
    """One run in this process: seconds, and megabytes beyond the rows."""
    import numpy as np

    from incumbent.project import create

    frame, toml = rows_of(case, n_rows, np.random.default_rng(0))
    with tempfile.TemporaryDirectory() as folder, create(folder, toml) as project:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        begun, worked = time.perf_counter(), time.process_time()
        found = project.baseline(frame)
        seconds, cpu = time.perf_counter() - begun, time.process_time() - worked
    more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    best = found.evidence[0].subject
    return {"seconds": seconds, "cpu": cpu, "mb": more, "best": best, "rules": len(found.evidence)}


def rows_of(case: str, n_rows: int, generator):
    """The rows of a case, and its incumbent.toml."""
    import pandas as pd

    if case in ("forecast", "series"):
        return series_of(1 if case == "forecast" else 1_000, n_rows, generator)
    columns = mixed(n_rows, generator)
    score = columns["n0"] + 0.5 * columns["i0"] + (columns["few0"] == "b")
    at = pd.Timestamp("2020-01-01", tz="UTC") + pd.to_timedelta(generator.integers(0, 365 * 86400, n_rows).cumsum()
                                                                % (365 * 86400), unit="s")
    target = score + generator.normal(size=n_rows)
    kind = "regression" if case == "regression" else "binary"
    frame = pd.DataFrame(columns | {"at": at, "y": target if kind == "regression" else (target > 2).astype(int)})
    metric = {"binary": "brier", "roc_auc": "roc_auc", "regression": "squared_error"}[case]
    return frame, f'[task]\nname="b"\nkind="{kind}"\ntarget="y"\nmetric="{metric}"\ntime="at"\n'


def mixed(n_rows: int, generator):
    """20 columns: eight numbers (two with nulls), four integers, three booleans, five texts."""
    import numpy as np

    columns = {f"n{i}": generator.normal(size=n_rows) for i in range(8)}
    for name in ("n6", "n7"):
        columns[name][generator.uniform(size=n_rows) < 0.1] = np.nan
    columns |= {f"i{i}": generator.integers(0, 5 * 10**i, n_rows) for i in range(4)}
    columns |= {f"b{i}": generator.uniform(size=n_rows) < 0.3 for i in range(3)}
    for i, words in enumerate((4, 12, 100, 900)):
        choice = np.array([chr(97 + k % 26) * (1 + k // 26) for k in range(words)], dtype=object)
        columns[f"few{i}"] = choice[generator.integers(0, words, n_rows)]
    names = np.array([f"user-{k}" for k in range(100_000)], dtype=object)
    columns["many"] = names[generator.integers(0, len(names), n_rows)]
    return columns


def series_of(n_series: int, n_rows: int, generator):
    """A million steps with a weekly season, in as many series."""
    import numpy as np
    import pandas as pd

    steps = n_rows // n_series
    day = np.tile(np.arange(steps), n_series)
    which = np.repeat(np.arange(n_series), steps)
    value = 10 + which % 7 + 3 * np.sin(2 * np.pi * day / 7) + generator.normal(size=len(day))
    at = pd.Timestamp("1990-01-01", tz="UTC") + pd.to_timedelta(day, unit="h")
    frame = pd.DataFrame({"at": at, "y": value} | ({"shop": np.char.add("s", which.astype(str)).astype(object)}
                                                   if n_series > 1 else {}))
    series = 'series="shop"\n' if n_series > 1 else ""
    toml = '[task]\nname="b"\nkind="forecast"\ntarget="y"\nmetric="absolute_error"\ntime="at"\nlags=14\n'
    return frame, toml + series


def measure(n_rows: int = 1_000_000) -> bool:
    """Run every case and print a line each; True where all are inside what is wanted."""
    fine = True
    wanted = f"{WANTED_S:g} s, {WANTED_MB:,} MB beyond the rows"
    print(f"step 1 on {n_rows:,} rows, median of {RUNS} runs (wanted: {wanted})")
    for case in CASES:
        runs = [json.loads(subprocess.run([sys.executable, __file__, case, str(n_rows)], check=True, text=True,
                                          capture_output=True).stdout) for _ in range(RUNS)]
        seconds, most = statistics.median(r["seconds"] for r in runs), max(r["mb"] for r in runs)
        one, cpu = runs[0], statistics.median(r["cpu"] for r in runs)
        found = f"{one['rules']} rules, best: {one['best']}"
        print(f"  {case:<10} {seconds:5.1f} s (of the processor {cpu:4.1f} s)  {most:6,.0f} MB   {found}", flush=True)
        fine &= seconds <= WANTED_S and most <= WANTED_MB
    return fine


if __name__ == "__main__":
    if len(sys.argv) == 3:
        print(json.dumps(run(sys.argv[1], int(sys.argv[2]))))
    else:
        sys.exit(0 if measure(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000) else 1)
