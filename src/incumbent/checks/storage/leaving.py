"""What leaves a Log: features move to Parquet and nobody notices; old days and single rows go for good.

Random stories are told twice: what a log answers after its days were archived is what it answered before, number by
number.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from incumbent.checks.storage.opened import FEATURES, HOUR, T0, OpenedLog, learnt, predicted, score, shadowed
from incumbent.checks.storage.plain import told
from incumbent.errors import IdReused, StoreDamaged, StoreLocked
from incumbent.records import DAY, Column, Json, Prediction, Review, Signature
from incumbent.storage import parquet
from incumbent.storage.base import Gone, Log

LATER = T0 + 1000 * DAY
SIGNATURE = Signature(
    (
        Column("hour", "integer"),
        Column("wind", "number"),
        Column("origin", "string"),
        Column("wet", "boolean"),
        Column("gust", "number"),
    ),
    "binary",
    (0, 1),
)
SIGNATURES = {"v1": SIGNATURE, "v2": SIGNATURE}


def answers(log: Log) -> list[Any]:
    """Everything that a log says."""
    ids = [f"row {i}" for i in range(200)] + list("abcdefgh")
    found = log.find(ids)
    return [
        [row for rows in log.scan() for row in rows],
        [row for rows in log.scan(known_before=T0 + 2 * HOUR, labelled=True, batch=7) for row in rows],
        [found[id] for id in ids if id in found],
        sorted(log.unscored(), key=str),
        *(log.unit_sums("t", phase, LATER, LATER, window) for phase in (1, 2) for window in (HOUR, DAY)),
        log.block_sums("v1", "v2", HOUR, T0, LATER, LATER),
        log.period_sums(HOUR, T0, LATER, LATER),
        log.totals(),
        log.reviews(),
    ]


def archived(log: Log, since: int = T0 - DAY, until: int = LATER, day: str = "2013-04-01") -> int:
    """Archive a range of time as a day."""
    return log.archive_day(day, since, until, SIGNATURES)


def query(days: Path, sql: str) -> list[tuple[Any, ...]]:
    """What DuckDB says of the Parquet files in `days`."""
    everything = f"read_parquet('{days}/*/*.parquet', union_by_name = true)"
    with duckdb.connect() as connection:
        return connection.execute(sql.format(days=everything)).fetchall()


def holding(folder: Path, secret: str) -> list[Path]:
    """The files below a folder that hold some text: as bytes, or inside of Parquet, which is compressed."""

    def content(path: Path) -> bytes:
        if path.suffix != ".parquet":
            return path.read_bytes()
        with duckdb.connect() as connection:
            rows = connection.execute("SELECT * FROM read_parquet(?)", [str(path)]).fetchall()
        return path.read_bytes() + str(rows).encode()

    return [path for path in folder.rglob("*") if path.is_file() and secret.encode() in content(path)]


def files(days: Path) -> list[str]:
    """The Parquet files, by the folder that they are in, and whatever else lies there."""
    return sorted(f"{path.parent.name}/{path.name.split('-')[0]}" for path in days.glob("*/*"))


class LeavingChecks(OpenedLog):
    """Archiving, copying, dropping and erasing."""

    def days(self, folder: Path) -> Path:
        """Where the Parquet files of the log in `folder` lie."""
        return folder / "days"

    # --- Parquet

    @pytest.mark.parametrize("seed", range(3))
    def test_nobody_notices_that_a_day_was_archived(self, log: Log, tmp_path: Path, seed: int) -> None:
        """Rows, sums, counts, reviews, what is due; also through another object, and after more has arrived."""
        told(seed, log)
        log.append_reviews([Review(id, T0, "v1", "audit", 0.5, "p") for id in ("row 3", "nowhere")])
        before = answers(log)
        rows = log.totals().predictions
        assert archived(log, until=T0 + 2 * HOUR, day="2013-04-01") + archived(log, T0 + 2 * HOUR, day="b") == rows
        assert answers(log) == before
        assert log.oldest_whole() is None
        other = self.opener()(tmp_path)
        assert answers(other) == before
        other.append([predicted("a", T0 + HOUR)])
        other.append_outcomes([learnt("row 1", 0, T0 + 9 * HOUR), learnt("a")])
        other.append_shadows([shadowed("row 1", "v4")])
        score(other)
        changed = answers(other)
        assert changed != before
        assert archived(log) == 1
        assert answers(other) == changed
        other.close()

    def test_what_comes_back_is_what_went_in(self, log: Log) -> None:
        """To the last digit, whatever a feature is called and holds: the text of its JSON is kept."""
        odd: dict[str, Json] = {
            "A": 1, "a": 2, "id": "x", "day": "y", "": 0.1 + 0.2, "a/b~c\"d'e": [1.5, None], "n": 2**62 + 1,
            "ü": "\u2028 \U0001f600", "nested": {"deep": [True, {}]}, "hour": "not a number", "f": 1e-308,
        }  # fmt: skip
        known = Signature(tuple(Column(name, "number") for name in odd), "binary", (0, 1))
        row = predicted("a", T0, features=odd)
        log.append([row, predicted("b", T0, version="v9", served_by="v9")])
        assert log.archive_day("2013-04-01", T0, T0 + 1, {"v1": known}) == 2
        assert log.find(["a", "b"]) == {"a": row, "b": predicted("b", T0, version="v9", served_by="v9")}

    def test_a_file_has_a_typed_column_for_each_feature(self, log: Log, tmp_path: Path) -> None:
        """And for all else that is known of a row; a value of another type is null there."""
        log.append([predicted("a", T0 + 5, unit="ann", features={**FEATURES, "hour": "x"}), predicted("b", T0 + 6)])
        log.append_outcomes([learnt("b", 1, T0 + HOUR)])
        archived(log)
        described = {name: type for name, type, *_ in query(self.days(tmp_path), "DESCRIBE SELECT * FROM {days}")}
        assert described == {
            "id": "VARCHAR", "at": "TIMESTAMP", "unit": "VARCHAR", "trial": "VARCHAR", "phase": "BIGINT",
            "arm": "VARCHAR", "version": "VARCHAR", "served_by": "VARCHAR", "fallback_reason": "VARCHAR",
            "propensity": "DOUBLE", "latency_us": "BIGINT", "output": "DOUBLE[]", "label": "DOUBLE",
            "known_at": "TIMESTAMP", "features": "VARCHAR", "hour": "BIGINT", "wind": "DOUBLE", "origin": "VARCHAR",
            "wet": "BOOLEAN", "gust": "DOUBLE", "day": "DATE",
        }  # fmt: skip
        ours = 'id, unit, epoch_us("at"), output, label, epoch_us(known_at)'
        columns = f"{ours}, hour, wind, origin, wet, gust, day::VARCHAR"
        found = query(self.days(tmp_path), f"SELECT {columns} FROM {{days}} ORDER BY id")
        assert found == [
            ("a", "ann", T0 + 5, [0.25, 0.75], None, None, None, 3.5, "JFK", True, None, "2013-04-01"),
            ("b", None, T0 + 6, [0.25, 0.75], 1.0, T0 + HOUR, 14, 3.5, "JFK", True, None, "2013-04-01"),
        ]

    def test_an_archived_id_that_comes_again_is_refused(self, log: Log) -> None:
        """As one that is not archived."""
        log.append([predicted("a")])
        archived(log)
        with pytest.raises(IdReused):
            log.append([predicted("a")])

    def test_days_are_archived_from_the_oldest_on(self, log: Log) -> None:
        """`oldest_whole` says where there is something to do; a day that has nothing makes no file."""
        log.append([predicted("a", T0), predicted("b", T0 + DAY)])
        assert log.oldest_whole() == T0
        assert (log.oldest_whole(T0), log.oldest_whole(T0 + 1), log.oldest_whole(T0 + DAY + 1)) == (T0, T0 + DAY, None)
        assert archived(log, T0, T0 + DAY) == 1
        assert log.oldest_whole() == T0 + DAY
        assert archived(log, T0, T0 + DAY) == 0
        assert archived(log, T0 + DAY, T0 + 2 * DAY) == 1
        assert log.oldest_whole() is None

    def test_a_copy_shows_what_is_still_in_the_store(self, log: Log, tmp_path: Path) -> None:
        """Moves nothing; is replaced by the next copy; goes when its rows move: no row is ever there twice."""
        days = self.days(tmp_path)
        count = "SELECT count(*), count(DISTINCT id) FROM {days}"
        log.append([predicted("a", T0), predicted("b", T0 + 1)])
        assert log.copy_day("2013-04-01", T0, T0 + DAY, SIGNATURES) == 2
        log.append([predicted("c", T0 + 2)])
        assert log.copy_day("2013-04-01", T0, T0 + DAY, SIGNATURES) == 3
        assert query(days, count) == [(3, 3)]
        assert log.oldest_whole() == T0
        assert archived(log) == 3
        assert query(days, count) == [(3, 3)]
        assert files(days) == ["day=2013-04-01/part"]
        assert log.copy_day("2013-04-01", T0, T0 + DAY, SIGNATURES) == 0

    def test_a_file_that_was_lost_is_named(self, log: Log, tmp_path: Path) -> None:
        """Nothing is made up: rows whose features are gone raise, sums and counts go on."""
        log.append([predicted("a"), predicted("b", T0 + DAY)])
        archived(log, until=T0 + 1)
        (path,) = self.days(tmp_path).glob("*/*.parquet")
        path.rename(tmp_path / "aside")
        with pytest.raises(StoreDamaged, match="backup"):
            log.find(["a"])
        assert list(log.find(["b"])) == ["b"]
        assert log.totals().predictions == 2
        path.write_bytes(b"no Parquet")
        with pytest.raises(StoreDamaged, match="backup"):
            list(log.scan())

    # --- gone for good

    def test_what_is_older_is_dropped_with_all_that_hangs_on_it(self, log: Log, tmp_path: Path) -> None:
        """What stays is what a log says that never had the rest."""
        log.append([predicted("a", T0, trial="t", arm="incumbent"), predicted("b", T0 + 1)])
        log.append([predicted("c", T0 + DAY, trial="t", arm="incumbent", fallback_reason="timeout", served_by="v2")])
        log.append_shadows([shadowed("a", "v3"), shadowed("c", "v3")])
        log.append_outcomes([learnt("a")])
        score(log)
        log.append_outcomes([learnt("a", 0, T0 + 2 * HOUR), learnt("c", 1, T0 + DAY + 1)])
        log.append_outcomes([learnt("waits", 1, T0 + 5), learnt("young", 1, T0 + DAY)])
        score(log)
        log.append_reviews([Review(id, at, "v1", "audit", 0.5, "p") for id, at in (("a", T0), ("c", T0 + DAY))])
        archived(log, until=T0 + 1)
        assert log.drop_before(T0 + DAY) == Gone(predictions=2, shadows=1, outcomes=3, losses=4, reviews=1)
        assert log.drop_before(T0 + DAY) == Gone()

        other = self.opener()(tmp_path / "other")
        other.append([predicted("c", T0 + DAY, trial="t", arm="incumbent", fallback_reason="timeout", served_by="v2")])
        other.append_shadows([shadowed("c", "v3")])
        other.append_outcomes([learnt("c", 1, T0 + DAY + 1), learnt("young", 1, T0 + DAY)])
        score(other)
        other.append_reviews([Review("c", T0 + DAY, "v1", "audit", 0.5, "p")])
        assert answers(log) == answers(other)
        other.close()

    def test_a_file_is_deleted_when_nothing_in_it_is_younger(self, log: Log, tmp_path: Path) -> None:
        """The end of its day decides."""
        log.append([predicted("a", T0), predicted("b", T0 + DAY)])
        archived(log, T0, T0 + DAY, "2013-04-01")
        archived(log, T0 + DAY, T0 + 2 * DAY, "2013-04-02")
        log.drop_before(T0 + DAY)
        assert files(self.days(tmp_path)) == ["day=2013-04-02/part"]
        assert [row.prediction.id for rows in log.scan() for row in rows] == ["b"]
        log.drop_before(LATER)
        assert files(self.days(tmp_path)) == []
        assert log.totals().predictions == 0
        assert log.totals().served == {}

    def test_erased_rows_are_gone_wherever_they_lay(self, log: Log, tmp_path: Path) -> None:
        """In the store, in Parquet, in copies, as outcomes that wait and as reviews; the others stay as they were."""
        keep = [predicted("b", T0 + 1), predicted("d", T0 + DAY)]
        log.append([predicted("a", T0), keep[0], predicted("c", T0 + DAY), keep[1]])
        log.append_outcomes([learnt("a"), learnt("waits"), learnt("b")])
        log.append_shadows([shadowed("c")])
        score(log)
        log.append_reviews([Review("a", T0, "v1", "audit", 0.5, "p")])
        archived(log, until=T0 + 2)
        log.copy_day("2013-04-02", T0 + DAY, T0 + 2 * DAY, SIGNATURES)
        assert log.erase(["a", "c", "waits", "unknown"]) == Gone(2, shadows=1, outcomes=2, losses=1, reviews=1)
        assert log.erase(["a"]) == Gone()
        found = [row.prediction for rows in log.scan() for row in rows]
        assert found == keep
        assert log.totals().predictions == 2
        assert (log.totals().outcomes, log.totals().pending, log.reviews()) == (1, 0, [])
        assert files(self.days(tmp_path)) == ["day=2013-04-01/part"]
        assert query(self.days(tmp_path), "SELECT id FROM {days}") == [("b",)]
        log.append([predicted("a", T0)])
        assert log.find(["a"]) == {"a": predicted("a", T0)}

    def test_a_scan_goes_on_while_rows_are_erased(self, log: Log) -> None:
        """Each list is read when it is asked for: what is gone by then is not in it."""
        log.append([predicted(f"{i}", T0 + i) for i in range(6)])
        archived(log)
        pages: Iterator[Any] = log.scan(batch=2)
        assert [row.prediction.id for row in next(pages)] == ["0", "1"]
        log.erase(["0", "3"])
        assert [row.prediction.id for rows in pages for row in rows] == ["2", "4", "5"]

    def test_rows_may_be_erased_while_they_are_read(
        self, log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Between the look into the log and the look into its file: what is gone is not there, what stays is."""
        other: Log = self.opener()(tmp_path)
        read: Callable[..., dict[str, str]] = parquet.features
        gone: list[Gone] = []

        def late(*arguments: Any) -> dict[str, str]:
            if not gone:
                gone.append(other.erase(["a"]))
            return read(*arguments)

        log.append([predicted("a"), predicted("b")])
        archived(log)
        monkeypatch.setattr(parquet, "features", late)
        assert log.find(["a", "b"]) == {"b": predicted("b")}
        assert gone == [Gone(predictions=1)]
        monkeypatch.undo()
        other.close()

    def test_what_lay_in_a_lost_file_can_be_erased(self, log: Log, tmp_path: Path) -> None:
        """The rest of its rows raise as before."""
        log.append([predicted("a"), predicted("b")])
        archived(log)
        (path,) = self.days(tmp_path).glob("*/*.parquet")
        path.unlink()
        assert log.erase(["a"]) == Gone(predictions=1)
        assert log.find(["a"]) == {}
        with pytest.raises(StoreDamaged):
            log.find(["b"])

    def test_scrubbing_changes_no_fact(self, log: Log) -> None:
        """Nor does it stand in the way of what follows."""
        told(5, log)
        before = answers(log)
        log.scrub()
        assert answers(log) == before
        log.append([predicted("a")])
        assert list(log.find(["a"])) == ["a"]

    def test_one_at_a_time(self, log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """While rows leave, whoever wants the same hears StoreLocked; whoever appends goes on."""
        other: Log = self.opener()(tmp_path)
        write: Callable[..., None] = parquet.write
        heard: list[bool] = []

        def meanwhile(*arguments: Any) -> None:
            for refused in (lambda: archived(other), lambda: other.drop_before(T0), lambda: other.erase(["a"])):
                with pytest.raises(StoreLocked):
                    refused()
            other.append([predicted("b", T0)])
            heard.append(True)
            write(*arguments)

        monkeypatch.setattr(parquet, "write", meanwhile)
        log.append([predicted("a", T0)])
        assert archived(log, until=T0 + 1) == 1
        assert heard == [True]
        found: dict[str, Prediction] = log.find(["a", "b"])
        assert set(found) == {"a", "b"}
        monkeypatch.undo()
        other.close()
