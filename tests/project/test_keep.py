"""Old days move and go with the tick, nothing that judges notices, and a unit is forgotten down to the golden rows."""

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from parcels import day, traffic, write

from incumbent.checks.storage.leaving import files, query
from incumbent.checks.storage.opened import predicted
from incumbent.errors import StoreLocked
from incumbent.loop import keep
from incumbent.loop.fold import roles as fold
from incumbent.loop.sentences import sentence
from incumbent.project import Project, open_project
from incumbent.runtimes import artefact
from incumbent.storage import parquet

KEPT = '[retrain]\nevery = "10 days"\nauto_refresh = true\nholdout_days = 7\nwatch_days = 3\n'
ROWS_A_DAY = 48


def served(folder: Path, log: str = "", more: str = "", private: bool = False) -> Project:
    """A model of day 40 is the incumbent and has answered until day 50; the unit is a feature too."""
    write(folder, f"{KEPT}{more}[log]\n{log}")
    toml = folder / "incumbent.toml"
    hidden = '\nprivate = ["customer"]' if private else ""
    toml.write_text(toml.read_text().replace('"serial"]', f'"serial", "customer"]{hidden}'))
    project = open_project(folder, clock=lambda: day(50), actor="test")
    project.baseline(now=day(40))
    version, evidence = project.train(now=day(40))
    assert version is not None
    project.promote(version.name, "it ships", evidence=evidence, now=day(40))
    traffic(project, day(40), day(50))
    return project


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with served(tmp_path, "archive_days = 4\n") as found:
        yield found


def types(project: Project, after: int = 0) -> list[str]:
    return [event.type for event in project.facts.ledger.events(after=after)]


def test_the_tick_moves_old_days_once(project: Project, tmp_path: Path) -> None:
    """One folder a day, a typed column for each feature, one event; a second tick at that time adds nothing."""
    project.upkeep.tick(now=day(49))
    days = project.config.store_path / "days"
    assert files(days) == [f"day=2024-02-{number}/part" for number in (10, 11, 12, 13, 14)]
    found = query(days, "SELECT count(*), count(weight), count(customer), min(depot) FROM {days} GROUP BY day")
    assert set(found) == {(ROWS_A_DAY, ROWS_A_DAY, ROWS_A_DAY, "harbour")}
    (event,) = project.facts.ledger.events(types=["DaysArchived"])
    assert event.data == {"until": "2024-02-15", "rows": 5 * ROWS_A_DAY, "days": 5, "first": "2024-02-10",
                          "last": "2024-02-14"}  # fmt: skip
    before = project.facts.ledger.sequence()
    project.upkeep.tick(now=day(49))
    assert project.facts.ledger.sequence() == before
    traffic(project, day(50), day(51))
    project.upkeep.tick(now=day(49.5))
    assert project.facts.ledger.sequence() == before


def test_a_refit_on_archived_rows_is_the_refit_on_whole_ones(project: Project, tmp_path: Path) -> None:
    """Same decision, same reasons, same numbers."""
    with served(tmp_path / "whole") as whole:
        project.upkeep.tick(now=day(49))
        assert project.facts.log.oldest_whole() == day(45)
        decisions = [one.upkeep.tick(now=day(50)) for one in (whole, project)]
        assert decisions[0] == decisions[1]
        assert decisions[0][0].action == "Promoted"


def test_the_tick_deletes_what_is_older_than_keep_days(tmp_path: Path) -> None:
    """From log and Parquet; the ledger says how much; never twice."""
    more = "[live]\nmax_days = 4\n"
    with served(tmp_path, "archive_days = 4\nkeep_days = 6\n", more) as project:
        project.upkeep.tick(now=day(46.5))
        project.upkeep.tick(now=day(50.5))
        totals = project.facts.log.totals()
        assert (totals.first_at, totals.predictions) == (day(44), 6 * ROWS_A_DAY)
        assert totals.served == {"v2": 6 * ROWS_A_DAY}
        (dropped,) = project.facts.ledger.events(types=["DaysDropped"])
        assert (dropped.data["before"], dropped.data["predictions"]) == ("2024-02-14", 4 * ROWS_A_DAY)
        assert dropped.data["outcomes"] > 100
        assert files(project.config.store_path / "days") == [f"day=2024-02-{n}/part" for n in (14, 15)]
        before = project.facts.ledger.sequence()
        project.upkeep.tick(now=day(50.5))
        assert "DaysDropped" not in types(project, before)


def test_a_day_that_cannot_move_stops_no_decision(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tick has decided by then; the error is said, and the next tick tries again."""

    def write(*_: object) -> None:
        raise StoreLocked("as if")

    monkeypatch.setattr(parquet, "write", write)
    with pytest.raises(StoreLocked):
        project.upkeep.tick(now=day(50))
    assert "Promoted" in types(project)[-8:]
    monkeypatch.undo()
    project.upkeep.tick(now=day(50))
    assert "DaysArchived" in types(project)


def test_python_moves_days_as_the_command_does(project: Project) -> None:
    """Up to a day, and with a copy of the rest; each is on the ledger once."""
    assert project.archive(until=date(2024, 2, 12)).rows == 2 * ROWS_A_DAY
    assert project.archive().days == 4
    assert project.archive(copy=True).rows == 0
    assert query(project.config.store_path / "days", "SELECT count(*), count(DISTINCT id) FROM {days}") == [(480, 480)]
    assert types(project)[-2:] == ["DaysArchived", "DaysArchived"]


def test_a_row_of_no_day_stands_in_nobodys_way(project: Project) -> None:
    """It says that it is older than the year 1: it stays in the store, and the days after it move."""
    project.facts.log.append([predicted("ancient", -(2**62))])
    project.upkeep.tick(now=day(49))
    assert project.facts.log.oldest_whole() == -(2**62)
    assert len(files(project.config.store_path / "days")) == 5


def test_days_are_those_of_the_zone() -> None:
    """Also on the days that have 23 and 25 hours."""
    zone = ZoneInfo("America/New_York")
    for first, hours in ((date(2013, 3, 10), 23), (date(2013, 4, 1), 24), (date(2013, 11, 3), 25)):
        begin, end = keep.start(first, zone), keep.start(date.fromordinal(first.toordinal() + 1), zone)
        assert end - begin == hours * 3600 * 1_000_000
        assert keep.today(begin, zone) == keep.today(end - 1, zone) == first


def test_a_unit_is_forgotten_and_the_versions_still_prove_themselves(project: Project) -> None:
    """Predictions, archived or not, and golden rows; the manifest that the ledger names now loads."""
    project.upkeep.tick(now=day(49))
    facts, versions = project.facts, project.roles().versions
    golden = {name: _golden(project, name) for name in versions}
    unit = next(row["customer"] for rows in golden.values() for row in rows)
    mine = [row.prediction.id for rows in facts.log.scan() for row in rows if row.prediction.unit == unit]
    others = facts.log.totals().predictions - len(mine)
    found = project.forget(unit=unit, reason="asked")
    assert found.gone.predictions == len(mine) > 0
    assert found.golden_rows == sum(row["customer"] == unit for rows in golden.values() for row in rows)
    assert found.versions and found.named
    profiles = {name: artefact.profile(facts.blobs, _manifest(project, name)) for name in versions}
    assert set(found.named) == {name for name in versions if f"'{unit}'" in str(profiles[name])}
    assert facts.log.totals().predictions == others
    assert facts.log.find(mine) == {}
    (event,) = facts.ledger.events(types=["Erased"])
    assert set(event.data["manifests"]) == set(found.versions)
    assert unit not in str({**event.data, "manifests": None}) and event.reason == "asked"
    now = fold(facts.ledger.events()).versions
    for one in found.golden:
        stay = [row for row in golden[one.version] if row["customer"] != unit]
        after = _golden(project, one.version)
        assert (one.gone, one.replaced, one.why) == (50 - len(stay), 50 - len(stay), "")
        assert after[: len(stay)] == stay and len(after) == 50
        assert unit not in {row["customer"] for row in after}
    assert event.data["golden"] == {one.version: {"gone": one.gone, "replaced": one.gone} for one in found.golden}
    assert f"{found.golden_rows} golden rows ({found.golden_rows} of them replaced)" in sentence(event)
    for name in found.versions:
        artefact.open_version(facts.blobs, now[name].manifest, project.config.versions, known=(now[name].manifest,))
    stored = b"".join(path.read_bytes() for path in project.config.store_path.rglob("*") if path.is_file())
    assert mine[0].encode() not in stored
    again = project.forget(unit=unit)
    assert (again.gone.predictions, again.golden_rows, again.versions) == (0, 0, ())


def test_rows_that_replace_golden_ones_come_from_the_log(project: Project) -> None:
    """Of whatever version served them, moved to Parquet or not; and a golden row goes with the id that it came from."""
    project.upkeep.tick(now=day(49))
    logged = {row.prediction.features["serial"]: row.prediction for rows in project.facts.log.scan() for row in rows}
    before = {name: _golden(project, name) for name in project.roles().versions}
    found = project.forget(unit=str(before["v1"][0]["customer"]))
    new = [row for row in _golden(project, "v1") if row not in before["v1"]]
    assert len(new) == next(one.replaced for one in found.golden if one.version == "v1") > 0
    assert {str(row["serial"]) in map(str, logged) for row in new} == {True}
    id = logged[new[0]["serial"]].id
    again = project.forget(id=id)
    assert again.gone.predictions == 1 and "v1" in again.versions
    assert new[0] not in _golden(project, "v1") and len(_golden(project, "v1")) == 50


def test_rows_that_replace_golden_ones_hold_no_hash_of_a_private_column(tmp_path: Path) -> None:
    """The log has hashes of it, which are no values of the column: it is empty in the rows that come in."""
    with served(tmp_path, private=True) as project:
        unit = str(_golden(project, "v2")[0]["customer"])
        before = {name: _golden(project, name) for name in project.roles().versions}
        found = project.forget(unit=unit)
        assert found.gone.predictions > 0 and found.golden_rows > 0
        for one in found.golden:
            after = _golden(project, one.version)
            assert (len(after), one.replaced) == (50, one.gone)
            assert [row["customer"] for row in after if row not in before[one.version]] == [None] * one.gone
            assert unit not in {row["customer"] for row in after}


def test_golden_rows_of_other_versions_replace_those_with_a_private_column(tmp_path: Path) -> None:
    """They say more than the log's, which are empty there; each comes in once."""
    with served(tmp_path, private=True) as project:
        newer = project.fit(now=day(50))
        before = {name: _golden(project, name) for name in project.roles().versions}
        unit = next(str(row["customer"]) for row in before["v2"] if row not in before[newer.name])
        found = {one.version: one for one in project.forget(unit=unit).golden}
        after = _golden(project, "v2")
        came = [row for row in after if row not in before["v2"]]
        assert len(came) == found["v2"].gone == found["v2"].replaced
        assert all(row in before[newer.name] and row["customer"] != unit for row in came)
        assert len({str(row) for row in after}) == 50


def _golden(project: Project, name: str) -> list[dict[str, object]]:
    manifest = artefact.manifest(project.facts.blobs, _manifest(project, name))
    return list(json.loads(project.facts.blobs.get(manifest["golden"]))["rows"])


def _manifest(project: Project, name: str) -> str:
    return project.roles().versions[name].manifest
