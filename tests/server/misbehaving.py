"""A model that does what a file tells it to, importable by the child in which it runs."""

import ctypes
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

KEPT: list[bytearray] = []


class Misbehaving:
    """Says 0.3 to everything, unless the file `fault` in its folder names something worse."""

    classes_ = np.array([0, 1])

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def fault(self, name: str) -> str:
        path = Path(self.folder, name)
        return path.read_text() if path.exists() else ""

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        at_start = self.fault("fault at start")
        if at_start == "slow":
            time.sleep(600)
        if at_start == "dies":
            os._exit(9)
        if at_start == "prints":
            print("x" * 100_000, flush=True)

    def predict_proba(self, rows: Any) -> Any:
        n, what = len(rows), self.fault("fault")
        poisoned = bool((rows["hour"] == 13).any())
        if what == "hangs":
            time.sleep(600)
        if what == "ignores SIGTERM and hangs":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            time.sleep(600)
        if what == "raises" or (what == "raises at 13" and poisoned):
            raise RuntimeError("no such thing")
        if what == "leaves":
            sys.exit(0)
        if what == "exits":
            os._exit(1)
        if what == "segmentation fault":
            ctypes.string_at(0)
        if what == "forks and exits":
            if os.fork() == 0:
                time.sleep(600)
            os._exit(1)
        if what == "wrong shape":
            return np.full((n + 1, 2), 0.5)
        if what == "three classes":
            return np.full((n, 3), 1 / 3)
        if what == "NaN":
            return np.full((n, 2), np.nan)
        if what == "no probabilities":
            return np.full((n, 2), 7.0)
        if what == "words":
            return np.full((n, 2), "late")
        if what == "None":
            return None
        if what == "leaks":
            KEPT.append(bytearray(os.urandom(1000)) * 50_000)
        if what == "wants too much":
            KEPT.append(bytearray(10**12))
        if what == "prints":
            print("x" * 100_000, flush=True)
        return np.column_stack([np.full(n, 0.7), np.full(n, 0.3)])
