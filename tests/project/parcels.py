"""A small project in a folder: will this parcel be late? Seeded rows, quick models, a late rate that may drift.

What a parcel weighs and where it starts decide; `serial` numbers the rows, so that a recipe can tell what it saw.
"""

from collections.abc import Iterable
from pathlib import Path

from incumbent.engines.opening import opener
from incumbent.loop.answer import Answerer
from incumbent.project import Project
from incumbent.project.rows import NEVER, Rows
from incumbent.records import DAY, Micros, Outcome, Request
from incumbent.runtimes import frames

TOML = """
[task]
name = "parcels"
kind = "{kind}"
target = "{target}"
metric = "{metric}"
time = "asked"
label_time = "known_at"
unit = "customer"
id = "id"
timezone = "UTC"
code = "task.py"
features = ["weight", "depot", "serial"]
"""

CODE = '''
"""Parcels: rows from a seed, and recipes that remember what they were given."""

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder

DAYS, PER_DAY, TURN = {days}, {per_day}, {turn}
START = pd.Timestamp("2024-01-01", tz="UTC")
SEEN, AT, ASKED = [], [], []  # what recipes were given, and the time of it; what load was asked for


def load(since=None, until=None):
    ASKED.append(until)
    rows = everything()
    rows = rows if since is None else rows[rows["asked"] >= since]
    rows = rows if until is None else rows[rows["asked"] < until]
    return rows.reset_index(drop=True)


def everything():
    draw = np.random.default_rng(7)
    n = DAYS * PER_DAY
    asked = START + pd.to_timedelta(np.arange(n) * (24 * 60 // PER_DAY), unit="min")
    weight, depot = draw.normal(size=n), draw.choice(["north", "south", "harbour"], n)
    effect = np.where(np.arange(n) < TURN * PER_DAY, 1.5, -1.5) * weight
    score = effect + (depot == "harbour") - 0.5
    late = (draw.random(n) < 1 / (1 + np.exp(-score))).astype(float)
    late[draw.random(n) < 0.03] = np.nan
    delay = pd.to_timedelta(draw.integers(2, 40, n), unit="h")
    return pd.DataFrame({{
        "id": [f"p{{i}}" for i in range(n)], "asked": asked, "known_at": asked + delay, "weight": weight,
        "depot": depot, "serial": np.arange(n), "customer": [f"c{{i % 50}}" for i in range(n)], "late": late,
        "size": np.where(np.isnan(late), None, np.where(score < -1, "s", np.where(score < 1, "m", "l"))),
        "hours": np.where(np.isnan(late), np.nan, 20 + 5 * score + draw.normal(size=n)),
    }})


def columns(names):
    return ColumnTransformer([
        ("depot", OneHotEncoder(handle_unknown="ignore"), ["depot"]), ("numbers", "passthrough", names),
    ])


def fit(rows, names, model):
    target = "{target}"
    SEEN.append(rows)
    AT.append(ASKED[-1])
    labels = rows[target].astype(int) if target == "late" else rows[target]
    return Pipeline([("columns", columns(names)), ("model", model)]).fit(rows.drop(columns=target), labels)


def train(rows):
    return fit(rows, ["weight"], LinearRegression() if "{target}" == "hours" else LogisticRegression())


def train_useless(rows):
    return fit(rows, [], LogisticRegression(C=1e-6))


def train_again(rows):
    return fit(rows, ["weight"], LogisticRegression(C=0.1))


def train_nothing(rows):
    return "a model"
'''

START: Micros = 1_704_067_200_000_000  # 2024-01-01, the first row


def write(
    folder: Path,
    more: str = "",
    *,
    days: int = 60,
    per_day: int = 48,
    turn: float = 10_000,
    kind: str = "binary",
    target: str = "late",
    metric: str = "brier",
) -> Path:
    """Write the project into `folder`. `turn` is the day from which on heavy parcels are early; `more` is TOML."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "incumbent.toml").write_text(TOML.format(kind=kind, target=target, metric=metric) + more)
    (folder / "task.py").write_text(CODE.format(days=days, per_day=per_day, turn=turn, target=target))
    return folder


def day(number: float) -> Micros:
    """The start of a day of the project, counted from 0."""
    return START + int(number * DAY)


def traffic(project: Project, since: Micros, until: Micros, *, told: Micros | None = None) -> int:
    """Answer the rows of [since, until) a day at a time, as a server would; tell what was known before `told`."""
    answerer = Answerer(project.config, project.facts, opener(project.config, project.facts.blobs), "replay")
    try:
        answerer.follow()
        signature = answerer.state.signature
        rows = project.rows().between(since, until)
        told = until if told is None else told
        for requests in _days(rows, signature.names):
            answerer.answer(requests)
            while answerer.shadow():
                pass
        answerer.receive(outcomes(rows, told))
    finally:
        answerer.close()
    return len(rows)


def outcomes(rows: Rows, told: Micros) -> list[Outcome]:
    """What became known before `told`."""
    told = min(told, NEVER)
    found = zip(rows.texts("id"), rows.labels(), rows.known_at.tolist(), strict=True)
    return [Outcome(str(name), label, at) for name, label, at in found if label is not None and at < told]


def _days(rows: Rows, names: Iterable[str]) -> Iterable[list[Request]]:
    features = frames.rows(rows.native(), list(names))
    ids, units, at = rows.texts("id"), rows.texts("customer"), rows.at.tolist()
    requests = [Request(str(ids[i]), at[i], features[i], units[i]) for i in range(len(rows))]
    for start in range(0, len(requests), 48):
        yield requests[start : start + 48]
