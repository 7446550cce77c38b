"""The ticker ticks on its cadence, and looks at a trial between two ticks as soon as outcomes came."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from parcels import day, traffic, write

from incumbent.errors import LedgerConflict
from incumbent.project import Project, open_project
from incumbent.project.ticking import Ticker
from incumbent.records import Decision, Outcome

SETTINGS = "[serve]\ntick_s = 60.0\nlook_s = 1.0\n"
NOTHING = Decision("continue", "v2", "needs more")
OVER = Decision("roll_back", "v2", "shown worse", (), "TrialDecided")


class Hour:
    """A monotonic clock that moves when it is told to, and while somebody works."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Working:
    """A project whose ticks and looks are counted; each look takes `looking_s`."""

    def __init__(self, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
        self.project, self.clock = project, Hour()
        self.looking_s, self.says = 0.0, NOTHING
        self.ticks: list[float] = []
        self.looks: list[float] = []
        monkeypatch.setattr(project.upkeep, "tick", self._tick)
        monkeypatch.setattr(project.upkeep, "look", self._look)
        monkeypatch.setattr(project, "draw", lambda: None)
        self.ticker = Ticker(project, monotonic=self.clock)

    def _tick(self, now: Any = None) -> list[Decision]:
        self.ticks.append(self.clock.now)
        return []

    def _look(self, now: Any = None) -> list[Decision]:
        self.looks.append(self.clock.now)
        self.clock.now += self.looking_s
        return [self.says]

    def told(self, name: str) -> None:
        """An outcome of the first logged prediction arrives."""
        (rows, *_) = self.project.facts.log.scan()
        self.project.facts.log.append_outcomes([Outcome(rows[0].prediction.id, 1, day(41), name)])

    def until(self, at: float, each: Any = lambda: None) -> None:
        """Let the ticker do what it does until then, as its command does: a turn, a wait."""
        while self.clock.now < at:
            each()
            self.ticker.turn()
            self.clock.now += max(self.ticker.wait_s, 1e-9)


@pytest.fixture
def working(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Working]:
    with open_project(write(tmp_path, SETTINGS), clock=lambda: day(41), actor="test") as project:
        project.baseline()
        assert project.train()[0] is not None
        project.live.start("v2", reason="a test", now=day(40))
        traffic(project, day(40), day(41), told=day(41))
        yield Working(project, monkeypatch)


def test_it_ticks_on_its_cadence(working: Working) -> None:
    """At once, and then each minute; where nothing comes nobody looks."""
    working.until(181)
    assert working.ticks == pytest.approx([0, 60, 120, 180]) and working.looks == []


def test_outcomes_call_for_a_look(working: Working) -> None:
    """Within a second of their arrival, once; a look that acts is told, one that does not is nobody's business."""
    assert working.ticker.turn() == []
    working.told("a")
    working.clock.now = 1.0
    assert working.ticker.turn() is None and working.looks == [1.0]
    working.clock.now = 2.0
    assert working.ticker.turn() is None and working.looks == [1.0]
    working.told("b")
    working.says = OVER
    working.clock.now = 3.0
    assert working.ticker.turn() == [OVER] and working.looks == [1.0, 3.0]


def test_a_busy_log_does_not_make_it_spin(working: Working) -> None:
    """Outcomes all the time: a look a second; where a look takes two seconds, a fifth of the time is spent on them."""
    names = iter(range(10_000))
    working.until(59, lambda: working.told(f"{next(names)}"))
    assert 55 <= len(working.looks) <= 60
    working.looking_s, before = 2.0, len(working.looks)
    working.until(559, lambda: working.told(f"{next(names)}"))
    assert 45 <= len(working.looks) - before <= 51


def test_a_failed_look_is_made_again(working: Working, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it did not see is still to be seen."""
    working.ticker.turn()
    working.told("a")

    def locked(now: Any = None) -> list[Decision]:
        raise OSError("no")

    monkeypatch.setattr(working.project.upkeep, "look", locked)
    working.clock.now = 1.0
    with pytest.raises(OSError, match="no"):
        working.ticker.turn()
    monkeypatch.setattr(working.project.upkeep, "look", working._look)
    assert working.ticker.wait_s == pytest.approx(1.0)
    working.clock.now = 2.0
    working.ticker.turn()
    assert working.looks == [2.0]


def test_what_a_failed_tick_did_not_decide_the_next_look_does(
    working: Working, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tick that others came before is not waited for a minute long."""

    def conflict(now: Any = None) -> list[Decision]:
        raise LedgerConflict("somebody else appended first")

    monkeypatch.setattr(working.project.upkeep, "tick", conflict)
    with pytest.raises(LedgerConflict):
        working.ticker.turn()
    working.clock.now = 1.0
    working.ticker.turn()
    assert working.looks == [1.0]


def test_without_a_trial_nobody_looks(working: Working) -> None:
    """And `look_s = 0` leaves it to the ticks."""
    working.ticker.turn()
    working.project.live.stop("a test", now=day(41))
    working.told("a")
    working.until(30)
    assert working.looks == []


def test_on_the_replay_clock_time_is_that_of_the_log(working: Working, monkeypatch: pytest.MonkeyPatch) -> None:
    """The latest logged prediction's."""
    seen: list[Any] = []
    monkeypatch.setattr(working.project.upkeep, "tick", lambda now: seen.append(now) or [])
    Ticker(working.project, "replay", working.clock).turn()
    assert seen == [working.project.facts.log.totals().last_at]
    assert day(40) <= seen[0] < day(41)
