"""Predictors with real faults, importable by a child process."""

import os
import time
from pathlib import Path
from typing import Any

import numpy as np

from incumbent.errors import GoldenMismatch
from incumbent.records import Column, Signature

SIGNATURE = Signature((Column("x", "number"),), "regression")


class Faulty:
    """Answers 2 x; the value of the first x makes it hang (-1), exit (-2), raise (-3), say NaN (-4), its pid (-5),
    its number of threads as the environment sets it (-6)."""

    runtime = "sklearn"
    signature = SIGNATURE

    def predict(self, columns: dict[str, Any]) -> Any:
        first = float(columns["x"][0])
        if first == -1:
            time.sleep(600)
        if first == -2:
            os._exit(3)
        if first == -3:
            raise ValueError("no such thing")
        if first == -4:
            return np.full(len(columns["x"]), np.nan)
        if first == -5:
            return np.full(len(columns["x"]), float(os.getpid()))
        if first == -6:
            return np.full(len(columns["x"]), float(os.environ["OMP_NUM_THREADS"]))
        return 2 * columns["x"]


def opens() -> Faulty:
    return Faulty()


def refuses() -> Faulty:
    raise GoldenMismatch("row 3 differs")


def breaks() -> Faulty:
    raise OSError("no such library")


def dies() -> Faulty:
    os._exit(9)


def hangs() -> Faulty:
    time.sleep(600)
    return Faulty()


def opens_once(mark: str) -> Faulty:
    """Opens the first time; dies at every later start."""
    path = Path(mark)
    if path.exists():
        os._exit(9)
    path.touch()
    return Faulty()
