"""Ids sort by time, private columns never lie in the log as they came, and a retry hears what was logged."""

import os
import stat
import threading
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from incumbent.errors import IdReused, StorageError
from incumbent.loop.asked import Asked, answer_of
from incumbent.loop.log import SALT_FILE, Ids, Privacy, keep_again, privacy
from incumbent.records import Prediction, Signature, micros
from incumbent.storage.base import PredictionRow, row_of
from incumbent.storage.values import json_text

new_id = Ids()
AT = micros(datetime(2013, 4, 1, 17, 5, 30, 123_456, tzinfo=UTC))


class Kept:
    """A log in memory; `races` ids are answered by another process just before they are appended."""

    def __init__(self, *predictions: Prediction, races: int = 0) -> None:
        self.predictions = {prediction.id: prediction for prediction in predictions}
        self.races = races
        self.appended: list[str] = []

    def find(self, ids: list[str]) -> dict[str, Prediction]:
        return {id: self.predictions[id] for id in ids if id in self.predictions}

    def append_rows(self, rows: list[PredictionRow], wait_s: float | None = None) -> None:
        for row in rows:
            if self.races:
                self.races -= 1
                raise IdReused("the other process was quicker")
            self.appended.append(row.id)


def asked(*rows: tuple[str, dict[str, Any]], says: float = 0.5) -> Asked:
    """An answered request of these ids and features."""
    state = SimpleNamespace(signature=Signature((), "regression"))
    ids, features = [id for id, _ in rows], [json_text(each) for _, each in rows]
    made = Asked(state, ids, [AT] * len(ids), [None] * len(ids), features, [()] * len(ids), False)
    made.rows = [row_of(Prediction(id, AT, each, "v2", "v2", (says,))) for id, each in rows]
    made.outputs = [[says] for _ in rows]
    return made


def test_an_id_is_a_uuid_of_version_7() -> None:
    """Version, variant and the millisecond are where RFC 9562 puts them."""
    found = UUID(new_id(AT))
    assert (found.version, found.variant) == (7, "specified in RFC 4122")
    assert found.int >> 80 == AT // 1000


def test_ids_sort_by_time_and_do_not_repeat() -> None:
    """Ids of times a microsecond apart are in order; ten thousand of one time are all different."""
    ids = [new_id(AT + i) for i in range(3000)]
    assert ids == sorted(ids)
    assert len({new_id(AT) for _ in range(10_000)}) == 10_000


@pytest.mark.parametrize("count", [1, 15, 16, 1000])
def test_many_ids_are_like_single_ones(count: int) -> None:
    """Version, variant and time are where they belong, all are different, and later ones sort after."""
    found = new_id.many([AT] * count)
    assert len(set(found)) == count
    assert {each[:18] for each in found} == {new_id(AT)[:18]}
    assert {(UUID(each).version, UUID(each).variant) for each in found} == {(7, "specified in RFC 4122")}
    assert max(found) < min(new_id.many([AT + 1] * count))


def test_many_ids_of_many_times_keep_their_places() -> None:
    """Each id has the time that stands at its place."""
    ats = [AT, AT + 5_000, AT] * 10
    assert [each[:18] for each in new_id.many(ats)] == [new_id(at)[:18] for at in ats]
    assert new_id.many([]) == []


def test_the_random_bits_of_many_ids_are_random() -> None:
    """Each of the 62 bits is 1 in half of 4,096 ids, within 6 standard errors (32 each)."""
    bits = [int(each[19:].replace("-", ""), 16) for each in new_id.many([AT] * 4096)]
    ones = [sum(each >> place & 1 for each in bits) for place in range(62)]
    assert max(abs(each - 2048) for each in ones) <= 6 * 32


def test_private_columns_are_hashed(tmp_path: Path) -> None:
    """The value is nowhere in what is kept; equal values hash alike, so they still join; null stays null."""
    private = privacy(("name", "age"), "name", tmp_path)
    found = private.features({"name": "Ann", "age": None, "hour": 5})
    assert "Ann" not in repr(found)
    assert (found["age"], found["hour"], len(found["name"])) == (None, 5, 32)
    assert found["name"] == private.unit_of("Ann") == privacy(("name",), "name", tmp_path).hashed("Ann")
    assert private.hashed(1) != private.hashed("1")


def test_another_project_hashes_otherwise(tmp_path: Path) -> None:
    """The salt is the project's own and secret: only its owner can read it."""
    one, other = privacy(("name",), "", tmp_path / "a"), privacy(("name",), "", tmp_path / "b")
    assert one.hashed("Ann") != other.hashed("Ann")
    assert one.unit_of("Ann") == "Ann"
    if os.name == "posix":
        assert stat.S_IMODE((tmp_path / "a" / SALT_FILE).stat().st_mode) == 0o600


def test_one_salt_wins_when_several_make_it_at_once(tmp_path: Path) -> None:
    """Eight threads that open the project at once all hash alike, and leave no draft behind."""
    start = threading.Barrier(8)
    found: list[bytes] = []

    def opens() -> None:
        start.wait()
        found.append(privacy(("name",), "", tmp_path).salt)

    threads = [threading.Thread(target=opens) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert len(found[0]) == 32
    assert [path.name for path in tmp_path.iterdir()] == [SALT_FILE]


def test_without_private_columns_nothing_is_copied_or_written(tmp_path: Path) -> None:
    """The features are kept as they are, and no salt is made."""
    features = {"hour": 5}
    assert privacy((), "unit", tmp_path).features(features) is features
    assert list(tmp_path.iterdir()) == []


def test_a_retry_hears_what_was_logged() -> None:
    """Same id, same features: the logged answer, by the version that gave it. New ids beside it are kept now."""
    log = Kept(Prediction("a", AT, {"hour": 5}, "v1", "v1", (0.8,)))
    again = asked(("a", {"hour": 5}), ("b", {"hour": 5}))
    keep_again(log, again, Privacy())
    assert [(row.version, output) for row, output in zip(again.rows, again.outputs, strict=True)] == [
        ("v1", [0.8]),
        ("v2", [0.5]),
    ]
    assert log.appended == ["b"]


def test_a_row_that_comes_twice_is_kept_once() -> None:
    """In one request, in the order in which it came first."""
    log = Kept()
    keep_again(log, asked(("a", {"hour": 5}), ("b", {}), ("a", {"hour": 5})), Privacy())
    assert log.appended == ["a", "b"]


def test_a_retry_of_private_features_is_compared_by_hash(tmp_path: Path) -> None:
    """The log holds hashes only, and still tells a retry from another row."""
    private = privacy(("name",), "name", tmp_path)
    log = Kept(Prediction("a", AT, private.features({"name": "Ann"}), "v1", "v1", (0.8,)))
    keep_again(log, asked(("a", {"name": "Ann"})), private)
    with pytest.raises(IdReused):
        keep_again(log, asked(("a", {"name": "Bob"})), private)


def test_what_is_kept_of_a_private_row_is_hashed(tmp_path: Path) -> None:
    """Features and unit."""
    private = privacy(("name",), "name", tmp_path)
    kept = private.kept(row_of(Prediction("a", AT, {"name": "Ann", "hour": 5}, "v1", "v1", (0.8,), "Ann")))
    assert "Ann" not in repr(kept)
    assert kept.unit == private.hashed("Ann")


@pytest.mark.parametrize("earlier", ["in the log", "in the same request"])
def test_an_id_with_other_features_is_refused(earlier: str) -> None:
    """It names the row and the id."""
    log = Kept(Prediction("a", AT, {"hour": 5}, "v1", "v1", (1.0,))) if earlier == "in the log" else Kept()
    again = asked(("b", {}), ("a", {"hour": 6})) if earlier == "in the log" else asked(("a", {"hour": 5}), ("a", {}))
    with pytest.raises(IdReused, match=r"row 1: the id 'a' came before with other features"):
        keep_again(log, again, Privacy())


def test_another_process_may_be_quicker() -> None:
    """The log is read again, a few times; then the client is asked to."""
    log = Kept(races=2)
    keep_again(log, asked(("a", {})), Privacy())
    assert log.appended == ["a"]
    with pytest.raises(StorageError, match="send the request again"):
        keep_again(Kept(races=100), asked(("a", {})), Privacy())


def test_an_answer_names_the_most_probable_class() -> None:
    """Probabilities are keyed by class as text; booleans as JSON writes them; numbers have none."""
    flags = Signature((), "binary", (False, True))
    row = row_of(Prediction("a", AT, {}, "v2", "v1", (0.4, 0.6), fallback_reason="timeout"))
    found = answer_of(row, [0.4, 0.6], flags)
    assert (found.prediction, found.probabilities) == (True, {"false": 0.4, "true": 0.6})
    assert (found.version, found.served_by, found.fallback_reason) == ("v2", "v1", "timeout")
    number = answer_of(row_of(Prediction("a", AT, {}, "v1", "v1", (3.5,))), [3.5], Signature((), "regression"))
    assert (number.prediction, number.probabilities) == (3.5, None)
