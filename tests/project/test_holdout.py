"""When is a holdout the one that was judged on before? By its rows, as far as the ledger tells."""

from typing import Any

import numpy as np
import pandas as pd

from incumbent import config
from incumbent.project import holdout
from incumbent.project.rows import Rows, read
from incumbent.records import Event

TOML = '[task]\nname = "t"\nkind = "regression"\ntarget = "y"\nmetric = "absolute_error"\n'
TIMED = f'{TOML}time = "at"\ntimezone = "UTC"\nid = "id"\n'


def rows(first: int, n: int = 400, toml: str = TOML, **columns: Any) -> Rows:
    """Rows number `first` and on of one table."""
    place = np.arange(first, first + n)
    at = pd.Timestamp("2024-01-01", tz="UTC") + pd.to_timedelta(place, unit="h")
    frame = pd.DataFrame({"at": at, "id": place, "x": place % 50, "y": place * 0.5, **columns})
    return read(frame if "time" in toml else frame.drop(columns=["at", "id"]), config.parse(toml))


def look(of: Rows, before: list[Any], output: float = 0.0) -> Any:
    truth = np.asarray(of.labels(), dtype=np.float64)
    return holdout.looks(before, of, truth, np.full(len(of), output))


def event(found: Any, **changed: Any) -> Event:
    """The gate's event about a look."""
    numbers = {"holdout": found.holdout, "answers": found.answers, "sketch": found.sketch, "rows_sketched": found.rows}
    data = {"evidence": {"numbers": {**numbers, **changed}}}
    return Event(1, "GateDecided", 0, 0, "test", "", data, {}, "", "")


def test_half_of_the_rows_make_a_family() -> None:
    """With a time, and without: 75 % of the rows shared is the same family, 25 % another."""
    for toml in (TIMED, TOML):
        first = look(rows(0, toml=toml), [])
        near, far = look(rows(100, toml=toml), [event(first)]), look(rows(300, toml=toml), [event(first)])
        assert (near.count, near.elsewhere, far.count, far.elsewhere) == (2, 1, 1, 0)
        assert near.shared is not None and abs(near.shared - 0.75) < 0.2 and far.shared is None


def test_features_that_are_computed_anew_change_no_holdout() -> None:
    """Where rows have a time, it and the label say which they are."""
    first = look(rows(0, toml=TIMED), [])
    again = look(rows(100, toml=TIMED, x=1.0), [event(first)])
    assert again.elsewhere == 1


def test_evidence_of_before_tells_the_same_rows_only() -> None:
    """An event without a sketch counts where its fingerprint is ours."""
    first = look(rows(0), [])
    old = event(first, sketch=None)
    assert look(rows(0), [old], 1.0).count == 2 and look(rows(10), [old], 1.0).count == 1


def test_the_same_answers_are_the_same_look() -> None:
    """Whoever was judged in between."""
    first = look(rows(0), [])
    other = look(rows(50), [event(first)], 1.0)
    again = look(rows(0), [event(first), event(other)])
    assert (again.count, again.elsewhere) == (1, 0)
