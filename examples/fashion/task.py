"""Which garment is this? Grey images of 28 x 28 pixels, which people tell apart in .835 of the cases.

In: Fashion-MNIST (Xiao, Rasul, Vollgraf 2017, arXiv:1708.07747; MIT licence) as Debian's package dataset-fashion-mnist
installs it. Out: its 10,000 test images, of which the authors showed 1,000 to people, and two recipes.
"""

import gzip
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from lightgbm import LGBMClassifier

FOLDER = Path("/usr/share/datasets/fashion-mnist")
GARMENTS = (
    "T-shirt", "trousers", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot",
)  # fmt: skip
FEW = 50


def load(since: datetime | None = None, until: datetime | None = None) -> pd.DataFrame:
    """One row an image: `image` (784 grey values, row by row from the top) and `garment`. They have no time."""
    images, labels = pixels(), _bytes("t10k-labels-idx1-ubyte.gz", 8)
    return pd.DataFrame({"image": list(images), "garment": [GARMENTS[label] for label in labels]})


def train(rows: pd.DataFrame) -> LGBMClassifier:
    """Boosted trees on the pixels."""
    model = LGBMClassifier(
        n_estimators=40, num_leaves=15, learning_rate=0.2, colsample_bytree=0.1, max_bin=31, n_jobs=1, random_state=0,
        verbose=-1,
    )  # fmt: skip
    return model.fit(_matrix(rows), rows["garment"])


def train_few(rows: pd.DataFrame) -> LGBMClassifier:
    """The same on fifty images."""
    model = LGBMClassifier(n_estimators=20, num_leaves=4, min_child_samples=2, n_jobs=1, random_state=0, verbose=-1)
    return model.fit(_matrix(rows[:FEW]), rows["garment"][:FEW])


@cache
def pixels() -> np.ndarray[Any, Any]:
    """(10000, 784) grey values from 0 to 255."""
    return _bytes("t10k-images-idx3-ubyte.gz", 16).reshape(-1, 784).astype(np.float64)


def _matrix(rows: pd.DataFrame) -> np.ndarray[Any, Any]:
    return np.stack(rows["image"].to_list())


def _bytes(name: str, head: int) -> np.ndarray[Any, Any]:
    """The IDX format: a head of some bytes, then one byte a value."""
    path = FOLDER / name
    if not path.is_file():
        raise FileNotFoundError(f"{path} was expected: sudo apt-get install dataset-fashion-mnist")
    return np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8, offset=head)
