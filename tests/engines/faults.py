"""Predictors with real faults, importable by a child process."""

import ctypes
import mmap
import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np

from incumbent.errors import GoldenMismatch
from incumbent.records import Column, Signature

SIGNATURE = Signature((Column("x", "number"),), "regression")


class Faulty:
    """Answers 2 x; the value of the first x makes it hang (-1), exit (-2), raise (-3), say NaN (-4), its pid (-5),
    its number of threads as the environment sets it (-6), fill 30 MB more of what it reserved (-7), want far more than
    there is (-8), start a process that sleeps and say its pid (-9), print (-10), answer what cannot be sent (-11), kill
    itself by a segmentation fault (-12), take no notice of SIGTERM and hang (-13)."""

    runtime = "sklearn"
    signature = SIGNATURE

    def __init__(self) -> None:
        self.reserved, self.touched = mmap.mmap(-1, 500_000_000), 0

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
        if first == -7:
            self.reserved[self.touched : self.touched + 30_000_000] = b"x" * 30_000_000
            self.touched += 30_000_000
        if first == -8:
            bytearray(10**12)
        if first == -9:
            return np.full(len(columns["x"]), float(_sleeper()))
        if first == -10:
            print("a model says something", flush=True)
        if first == -11:
            return lambda: None
        if first == -12:
            ctypes.string_at(0)
        if first == -13:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            time.sleep(600)
        if first == -6:
            return np.full(len(columns["x"]), float(os.environ["OMP_NUM_THREADS"]))
        return 2 * columns["x"]


def _sleeper() -> int:
    """A forked process: it holds every descriptor that we hold, the pipe too."""
    pid = os.fork()
    if pid == 0:
        time.sleep(600)
        os._exit(0)
    return pid


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
