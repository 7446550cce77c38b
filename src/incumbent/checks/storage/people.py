"""What people say: responses and adjudications are kept in order, corrected with history, and leave with their rows."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from incumbent.checks.storage.children import append_said, at_once
from incumbent.checks.storage.opened import T0, OpenedLog
from incumbent.errors import DataError
from incumbent.records import DAY, Adjudication, Label, Response
from incumbent.storage.base import Gone, Log


def said(item: str, reviewer: str = "ann", value: Label | None = 1, copy: int = 1, **more: Any) -> Response:
    """A response of a study called `p1`."""
    return Response(**{"study": "p1", "item": item, "copy": copy, "reviewer": reviewer, "value": value, "at": T0,
                       "took_us": 2_500_000, **more})  # fmt: skip


def settled(item: str, value: Label = 1, reviewer: str = "cleo", at: int = T0) -> Adjudication:
    """An adjudication of the same study."""
    return Adjudication("p1", item, value, reviewer, at)


class PeopleChecks(OpenedLog):
    """Responses and adjudications."""

    def test_what_was_said_comes_back_in_its_order(self, log: Log, tmp_path: Path) -> None:
        """Of one study alone; every kind of label, and none; also through another object."""
        labels: list[Label | None] = [1, 1.0, 0.1 + 0.2, True, "é\u2028", "", None]
        given = [said(f"{i}", value=value) for i, value in enumerate(labels)]
        log.append_responses([*given, replace(said("0"), study="p2")])
        log.append_responses([])
        assert log.responses("p1") == given
        assert [type(one.value) for one in log.responses("p1")] == [type(value) for value in labels]
        assert log.responses("nothing") == []
        other = self.opener()(tmp_path)
        assert other.responses("p1") == given
        other.close()

    def test_a_copy_and_a_reviewer_of_an_item_are_apart(self, log: Log) -> None:
        """Two blind copies, two people: three responses that all count."""
        given = [said("a"), said("a", copy=2, value=0), said("a", "bob", 0)]
        log.append_responses(given)
        assert log.responses("p1") == given

    def test_a_second_response_is_a_correction_with_history(self, log: Log) -> None:
        """The last one counts, and stands where it came; the first is not lost."""
        first, other, second = said("a"), said("b"), said("a", value=0, at=T0 + 5)
        log.append_responses([first, other])
        log.append_responses([second])
        assert log.responses("p1") == [other, second]
        assert log.responses("p1", history=True) == [first, other, second]

    def test_the_same_value_again_changes_nothing(self, log: Log) -> None:
        """A form that was sent twice; 1 and true are two values."""
        log.append_responses([said("a"), said("a", at=T0 + 9), said("b", value=None), said("b", value=None)])
        assert log.responses("p1", history=True) == [said("a"), said("b", value=None)]
        log.append_responses([said("a", value=True)])
        assert len(log.responses("p1", history=True)) == 3

    def test_a_response_that_no_store_could_keep_is_refused(self, log: Log) -> None:
        """With all that came in the same call."""
        for bad in (said("a\0"), said("a", value=float("nan"))):
            with pytest.raises(DataError):
                log.append_responses([said("good"), bad])
        assert log.responses("p1", history=True) == []

    def test_the_last_adjudication_of_an_item_counts(self, log: Log) -> None:
        """Whoever it is by; the same again changes nothing; it is no response."""
        first, second, other = settled("a"), settled("a", 0, "dan", T0 + 3), settled("b")
        log.append_adjudications([first, other, settled("b", at=T0 + 1)])
        log.append_adjudications([second])
        assert log.adjudications("p1") == [other, second]
        assert log.adjudications("p1", history=True) == [first, other, second]
        assert not log.responses("p1") and not log.adjudications("p2")

    def test_processes_that_answer_at_once_lose_nothing(self, tmp_path: Path) -> None:
        """Each has its own items, and all sent everything twice."""
        at_once(append_said, *((self.opener(), tmp_path, name, 25) for name in ("ann", "bob")))
        log = self.opener()(tmp_path)
        for name in ("ann", "bob"):
            mine = [one.item for one in log.responses("p1", history=True) if one.reviewer == name]
            assert mine == [f"{name} {i}" for i in range(25)]
        log.close()

    def test_what_was_said_leaves_with_its_rows(self, log: Log) -> None:
        """By the id of the row, and by its own age; with its history."""
        log.append_responses([said("a", value=0), said("a"), said("b"), said("old", at=T0 - DAY)])
        log.append_adjudications([settled("a"), settled("b"), settled("old", at=T0 - DAY)])
        assert log.erase(["a"]) == Gone(responses=2, adjudications=1)
        assert log.drop_before(T0) == Gone(responses=1, adjudications=1)
        assert log.drop_before(T0) == Gone()
        assert [one.item for one in log.responses("p1", history=True)] == ["b"]
        assert [one.item for one in log.adjudications("p1", history=True)] == ["b"]
