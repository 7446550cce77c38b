"""A project whose `load` gives Polars rows: its recipes get Polars rows too, also from the log."""

from pathlib import Path

import polars
from parcels import day, traffic, write

from incumbent.project import open_project
from incumbent.records import DAY

POLARS = '''

import polars

_pandas_load = load


def load(since=None, until=None):
    rows = _pandas_load(since, until)
    times = {name: rows[name].dt.to_pydatetime().tolist() for name in ("asked", "known_at")}
    columns = ["id", "weight", "depot", "serial", "customer", "late"]
    plain = {name: [None if v != v else v for v in rows[name].tolist()] for name in columns}
    return polars.DataFrame({**plain, **times})


def fit(rows, names, model):
    labels = rows["late"].cast(polars.Int64).to_numpy()
    return Pipeline([("columns", columns(names)), ("model", model)]).fit(rows.drop("late"), labels)
'''
SETTINGS = """
[retrain]
every = "7 days"
auto_refresh = true
[gate]
min_rows = 100
"""


def test_polars_rows_go_through_baseline_gate_traffic_and_refit(tmp_path: Path) -> None:
    """The refit's rows are the loaded ones and the served ones in one Polars DataFrame."""
    folder = write(tmp_path / "parcels", SETTINGS, days=60, per_day=24)
    code = folder / "task.py"
    code.write_text(code.read_text() + POLARS)
    with open_project(folder) as project:
        project.baseline(now=day(40))
        version, evidence = project.train(now=day(40))
        assert evidence.verdict == "ship" and version is not None
        project.promote(version.name, "it ships", evidence=evidence, now=day(40))
        traffic(project, day(40), day(49), told=day(49))
        decisions = project.upkeep.tick(now=day(49))
        assert [one.action for one in decisions] == ["Promoted"]
        rows = project.upkeep.training_rows(day(49))
        assert isinstance(rows.training_frame(), polars.DataFrame)
        assert int(rows.at[-1]) > day(49) - 3 * DAY
