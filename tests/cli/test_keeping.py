"""`archive` and `forget` on the terminal, and the query that docs/store.md prints."""

import json
import re
from pathlib import Path

import duckdb
import pytest
from parcels import day, traffic, write
from said import Command

from incumbent.checks.storage.leaving import holding
from incumbent.errors import ArtefactRefused
from incumbent.project import Project, open_project
from incumbent.runtimes import artefact

NOW = "2024-02-20T12:00:00+00:00"  # day 50
STORE_PAGE = Path(__file__).parents[2] / "docs" / "store.md"
ROWS_A_DAY = 48


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project that has answered from day 40 to day 50, customers hashed."""
    folder = write(tmp_path / "parcels", '[log]\narchive_days = 5\n')
    toml = folder / "incumbent.toml"
    toml.write_text(toml.read_text().replace('code = "task.py"', 'code = "task.py"\nprivate = ["customer"]'))
    with open_project(folder, clock=lambda: day(50), actor="test") as found:
        found.baseline(now=day(40))
        traffic(found, day(40), day(50))
    return folder


def test_archive_says_what_would_move_and_moves_it(command: Command, folder: Path) -> None:
    """With --dry-run nothing changes; afterwards there is nothing left to move."""
    assert command("archive", "-p", folder, "--now", NOW, "--dry-run")[1] == "would move 2024-02-10 to 2024-02-14\n"
    code, out, _ = command("archive", "-p", folder, "--now", NOW)
    assert (code, out) == (0, "moved the features of 240 rows of 5 days, 2024-02-10 to 2024-02-14\n")
    assert command("archive", "-p", folder, "--now", NOW)[1] == "nothing was moved\n"
    assert command("archive", "-p", folder, "--now", NOW, "--dry-run")[1] == "there is nothing to move\n"
    code, out, _ = command("archive", "-p", folder, "--now", NOW, "--until", "2024-02-16", "--json")
    assert json.loads(out)["moved"] == {"rows": ROWS_A_DAY, "days": 1, "first": "2024-02-15", "last": "2024-02-15"}
    code, out, _ = command("log", "-p", folder)
    assert "The features of 240 rows before 2024-02-15 moved to Parquet" in out


def test_doctor_looks_for_what_reads_old_days(
    command: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Open where days are to move and DuckDB is not there."""

    def found() -> bool:
        checks = json.loads(command("doctor", "-p", folder, "--json")[1])["checks"]
        return bool({one["check"]: one["ok"] for one in checks}["old days can be moved and read"])

    assert found()
    monkeypatch.setattr("incumbent.cli.checkup.find_spec", lambda _: None)
    assert not found()


@pytest.mark.parametrize("until", ["soon", "2024-02-21"])
def test_archive_refuses_a_day_that_is_none_or_not_over(command: Command, folder: Path, until: str) -> None:
    """Exit 2."""
    code, _, err = command("archive", "-p", folder, "--now", NOW, "--until", until)
    assert code == 2 and until in err


def test_archive_wants_to_know_what_to_move(command: Command, folder: Path) -> None:
    """No setting and no option: exit 2."""
    toml = folder / "incumbent.toml"
    toml.write_text(toml.read_text().replace("archive_days = 5", ""))
    code, _, err = command("archive", "-p", folder, "--now", NOW)
    assert code == 2 and "--until" in err


def documented() -> list[str]:
    """Every SQL example of the page."""
    found = re.findall(r"^```sql\n(.*?)^```", STORE_PAGE.read_text(), re.DOTALL | re.MULTILINE)
    assert found
    return found


def test_the_documented_queries_run_as_they_are_printed(
    command: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the folder of the project: the archived days first, and after `archive --copy` everything."""
    monkeypatch.chdir(folder)
    command("archive", "--now", NOW)
    with duckdb.connect() as connection:
        by_day, *others = documented()
        found = connection.execute(by_day).fetchall()
        assert [str(row[0]) for row in found] == [f"2024-02-{n}" for n in range(10, 15)]
        assert {row[2] for row in found} == {ROWS_A_DAY}
        assert all(0 < row[3] < 1 for row in found)
        assert command("archive", "--now", NOW, "--copy")[0] == 0
        assert len(connection.execute(by_day).fetchall()) == 10
        for query in others:
            assert connection.execute(query).fetchall()


def units(project: Project) -> set[str | None]:
    return {row.prediction.unit for rows in project.facts.log.scan() for row in rows}


def test_forget_finds_a_unit_that_the_log_holds_hashed(command: Command, folder: Path) -> None:
    """By its name as requests say it; others stay; the ledger does not name it."""
    with open_project(folder) as project:
        before = units(project)
    code, out, _ = command("forget", "-p", folder, "--unit", "c7", "--reason", "request 12", "--yes")
    assert code == 0
    assert re.match(r"erased (9|10) predictions, 0 shadows, \d+ outcomes", out)
    with open_project(folder) as project:
        assert len(before - units(project)) == 1
        (event,) = project.facts.ledger.events(types=["Erased"])
    assert "c7" not in str(event.data) and event.reason == "request 12"
    code, out, _ = command("forget", "-p", folder, "--unit", "c7", "--yes", "--json")
    assert code == 0 and json.loads(out)["predictions"] == 0


def test_no_file_of_the_store_holds_a_forgotten_unit(command: Command, tmp_path: Path) -> None:
    """Days in Parquet, a copy of the rest, the log: the name is in each before, and nowhere after."""
    folder = write(tmp_path / "parcels", "[log]\narchive_days = 5\n")
    code, name = folder / "task.py", "customer-7-x"
    code.write_text(code.read_text().replace('f"c{i % 50}"', 'f"customer-{i % 50}-x"'))
    with open_project(folder, clock=lambda: day(50), actor="test") as found:
        found.baseline(now=day(40))
        traffic(found, day(40), day(50))
    command("archive", "-p", folder, "--now", NOW, "--copy")

    assert {path.name.partition("-")[0] for path in holding(folder, name)} == {"log.db", "copy", "part"}
    assert command("forget", "-p", folder, "--unit", name, "--yes")[0] == 0
    assert holding(folder, name) == []


def test_forget_erases_one_id(command: Command, folder: Path) -> None:
    with open_project(folder) as project:
        id = next(row.prediction.id for rows in project.facts.log.scan() for row in rows)
    (folder / ".incumbent" / "log.revision-0001.db").touch()
    code, out, _ = command("forget", "-p", folder, "--id", id, "--yes")
    assert code == 0 and "erased 1 predictions" in out and "log.revision-0001.db" in out
    with open_project(folder) as project:
        assert project.facts.log.find([id]) == {}


def test_forget_asks_first(command: Command, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal; elsewhere it wants --yes. Nothing is erased before."""
    code, _, err = command("forget", "-p", folder, "--unit", "c7")
    assert code == 2 and "--yes" in err
    monkeypatch.setattr("incumbent.cli.keeping.sys.stdin.isatty", lambda: True, raising=False)
    asked: list[str] = []
    monkeypatch.setattr("typer.confirm", lambda question, **_: asked.append(question))
    assert command("forget", "-p", folder, "--unit", "c7")[0] == 0
    assert len(asked) == 1


@pytest.mark.parametrize("options", [[], ["--unit", "a", "--id", "b"]])
def test_forget_wants_one_of_both(command: Command, folder: Path, options: list[str]) -> None:
    code, _, err = command("forget", "-p", folder, "--yes", *options)
    assert code == 2 and "one of --unit and --id" in err


def featured(folder: Path, golden_rows: int = 50) -> Path:
    """A project whose units are a feature, which has answered from day 40 to day 50."""
    write(folder, f"[versions]\ngolden_rows = {golden_rows}\n")
    toml = folder / "incumbent.toml"
    toml.write_text(toml.read_text().replace('"serial"]', '"customer"]'))
    with open_project(folder, clock=lambda: day(50), actor="test") as project:
        project.baseline(now=day(40))
        traffic(project, day(40), day(50))
    return folder


def golden_unit(folder: Path) -> str:
    with open_project(folder) as project:
        return str(artefact.golden_rows(project.facts.blobs, project.version("v1").manifest)[0]["customer"])


def forgotten(command: Command, folder: Path, *more: str) -> str:
    """What `forget` says of a unit that has golden rows."""
    return command("forget", "-p", folder, "--unit", golden_unit(folder), "--yes", *more)[1]


def test_forget_tells_which_golden_rows_were_replaced(command: Command, tmp_path: Path) -> None:
    """In words and as JSON; the ledger counts them."""
    folder = featured(tmp_path / "parcels", golden_rows=1)
    assert "and 1 golden rows\nreplaced 1 golden row of v1\n" in forgotten(command, folder)
    found = json.loads(forgotten(command, folder, "--json"))
    assert found["golden"] == [{"version": "v1", "gone": 1, "replaced": 1, "why": ""}]
    assert (found["found"], found["golden_rows"], found["versions"]) == (True, 1, ["v1"])
    assert "1 golden rows (1 of them replaced)" in command("log", "-p", folder)[1]


def test_forget_tells_which_golden_rows_were_not_replaced(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The version cannot be opened here: what can go is dropped. The reason may quote rows: the ledger has it not."""
    folder = featured(tmp_path / "parcels")
    monkeypatch.setattr(artefact, "open_part", refusing)
    said = forgotten(command, folder)
    assert re.search(r"^dropped \d golden rows? of v1: ArtefactRefused: as if$", said, re.MULTILINE)
    (only,) = json.loads(forgotten(command, folder, "--json"))["golden"]
    assert only["gone"] > 0 == only["replaced"] and only["why"] == "ArtefactRefused: as if"
    assert "(0 of them replaced)" in command("log", "-p", folder)[1]
    assert "as if" not in command("log", "-p", folder, "--json")[1]


def test_forget_tells_which_golden_rows_stay(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All are of the unit, and the version cannot be opened: it says what to do, and works when that is mended."""
    folder = featured(tmp_path / "parcels", golden_rows=1)
    unit = golden_unit(folder)
    with monkeypatch.context() as here:
        here.setattr(artefact, "open_part", refusing)
        said = forgotten(command, folder)
        assert "and 0 golden rows\nnot erased: all golden rows of v1 are of it, and none could be replaced" in said
        assert "forget it again when that is mended" in said and "may name it still" in said
        found = json.loads(forgotten(command, folder, "--json"))
        assert (found["found"], found["versions"], found["versions_left"]) == (True, [], ["v1"])
    assert golden_unit(folder) == unit
    assert "replaced 1 golden row of v1" in forgotten(command, folder)
    assert golden_unit(folder) != unit


def refusing(*_: object) -> None:
    raise ArtefactRefused("as if")


@pytest.mark.parametrize(("private", "reminded"), [("", False), ('\nprivate = ["customer"]', True)])
def test_forget_says_that_it_found_nothing(command: Command, tmp_path: Path, private: str, reminded: bool) -> None:
    """And how units and ids are named; a hash is not what to ask for."""
    folder = write(tmp_path / "parcels")
    toml = folder / "incumbent.toml"
    toml.write_text(toml.read_text().replace('code = "task.py"', f'code = "task.py"{private}'))
    code, out, _ = command("forget", "-p", folder, "--unit", "C7", "--yes")
    assert code == 0 and out.startswith("nothing was found under the unit 'C7': a unit is named as requests name it")
    assert ("task.private" in out) == reminded
    assert command("forget", "-p", folder, "--id", "C7", "--yes")[1].startswith("nothing was found under the id 'C7'")
    assert json.loads(command("forget", "-p", folder, "--unit", "C7", "--yes", "--json")[1])["found"] is False
