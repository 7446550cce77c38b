"""When does the ticker do what? A tick every `serve.tick_s`; between two ticks a look as soon as outcomes came.

In: a project, a monotonic clock. Out: decisions that were acted on, and how long nothing can be due. So a rollback does
not wait for the next tick, and a busy log does not keep the ticker busy: a look comes `serve.look_s` after the last one
at the earliest, and never takes more than a fifth of the time. Prints nothing and sleeps nowhere.
"""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from incumbent.loop import fold
from incumbent.records import Decision, Micros, Roles

if TYPE_CHECKING:
    from incumbent.project.project import Project

SHARE = 0.2
"""Of the time, for looks between two ticks: one that took a second is followed by four without."""


class Ticker:
    """Ticks for good. `clock` "replay": task time is that of the latest logged prediction, and nothing happens before
    the first. `monotonic` is in seconds."""

    def __init__(
        self,
        project: "Project",
        clock: Literal["wall", "replay"] = "wall",
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._project, self._clock, self._monotonic = project, clock, monotonic
        self._next_tick = self._next_look = monotonic()
        self._roles, self._seen = Roles(), 0

    @property
    def wait_s(self) -> float:
        """So long nothing can be due."""
        due = min(self._next_tick, self._next_look) if self._project.config.serve.look_s else self._next_tick
        return max(0.0, due - self._monotonic())

    def turn(self) -> list[Decision] | None:
        """Do what is due: the decisions of a tick, or of a look that changed something; None where nothing was done.

        StoreLocked while another process ticks; what else a tick raises passes through. The next turn tries again.
        """
        began = self._monotonic()
        if began >= self._next_tick:
            self._next_tick = began + self._project.config.serve.tick_s
            return self._tick()
        if not self._project.config.serve.look_s or began < self._next_look:
            return None
        try:
            return self._look()
        finally:
            ended = self._monotonic()
            rest = (ended - began) * (1 / SHARE - 1)
            self._next_look = ended + max(self._project.config.serve.look_s, rest)

    def _tick(self) -> list[Decision]:
        now = self._now()
        if now is None:
            return []
        seen = self._project.facts.log.last_outcome()
        decisions = self._project.upkeep.tick(now=now)
        self._seen = seen  # not before: what a failed tick did not decide, the next look does
        self._project.draw()
        return decisions

    def _look(self) -> list[Decision] | None:
        """Outcomes that come while a trial or a watch runs call the verdict. (Pictures follow at the next tick: they
        take seconds.)"""
        now = self._now()
        roles = self._followed()
        if now is None or (roles.trial is None and roles.watch is None):
            return None
        seen = self._project.facts.log.last_outcome()
        if seen == self._seen:
            return None
        acted = [decision for decision in self._project.upkeep.look(now=now) if decision.action]
        self._seen = seen  # not before: a look that failed is made again
        return acted or None

    def _now(self) -> Micros | None:
        return self._project.clock() if self._clock == "wall" else self._project.facts.log.totals().last_at

    def _followed(self) -> Roles:
        ledger = self._project.facts.ledger
        if ledger.sequence() != self._roles.sequence:
            self._roles = fold.roles(ledger.events(after=self._roles.sequence), self._roles)
        return self._roles
