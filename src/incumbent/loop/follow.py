"""Follow the ledger: open and prove what is new beside the traffic, then swap the whole state at once.

In: the events that other processes append. Out: the State that a request uses from start to end, whose engines are
closed once nobody uses them any more. No stage of its own: `answer` asks it, and answers with what it holds. It decides
nothing, but that a challenger whose breaker latched is let go.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress

from incumbent.engines.base import Engine
from incumbent.engines.opening import OpenEngine
from incumbent.errors import LedgerConflict, PredictError
from incumbent.loop import asked as rows_asked
from incumbent.loop import fold, predict, promote, route
from incumbent.loop.opening import Needed, Openings
from incumbent.records import Micros, Roles, Routes, Signature
from incumbent.runtimes.reading import Reader
from incumbent.storage.base import Ledger

_RELOAD_S = 30.0
OPENING_S = 0.2
"""How often the ledger is read while a version is being opened."""


class State:
    """What a request uses from start to end.

    `failures`: the error of each version that is not loaded. `apart`: those whose lane was opened as a challenger's.
    """

    def __init__(
        self,
        roles: Roles | None = None,
        routes: Routes | None = None,
        lanes: Mapping[str, predict.Lane] | None = None,
        shadows: Mapping[str, Engine] | None = None,
        failures: Mapping[str, str] | None = None,
        apart: frozenset[str] = frozenset(),
    ) -> None:
        self.roles, self.routes, self.apart = roles or Roles(), routes, apart
        self.lanes, self.shadows, self.failures = lanes or {}, shadows or {}, failures or {}
        self.open = 0
        """Requests that use this state now."""
        if routes is not None:
            self.router = route.Router(routes)
            self.reader = Reader(self.signature)
            self.probabilities = rows_asked.probabilities(self.signature)

    @property
    def signature(self) -> Signature:
        """What requests are checked against: the incumbent's. PredictError while there is none."""
        if self.routes is None:
            raise PredictError("nothing can answer yet: there is no incumbent. Run `incumbent baseline` first.")
        return self.roles.versions[self.routes.incumbent].signature


class Follower:
    """Keeps the present `state` of one answering process; `look` is called again and again, from a thread.

    `chain` gives each version its lane. `shadowing` is held while the shadows of a state are asked: they are not closed
    meanwhile. `lets_go` says that a challenger whose breaker latched is let go (at the task time `now`). `monotonic` is
    in seconds; `loop`, once it is known, is where engines are in use.
    """

    def __init__(
        self,
        ledger: Ledger,
        open_engine: OpenEngine,
        chain: predict.Chain,
        shadowing: AbstractContextManager[object],
        *,
        lets_go: bool,
        now: Callable[[], Micros],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.state = State()
        self.retired: list[State] = []
        """States that somebody uses still, or did when they were replaced."""
        self.openings = Openings(open_engine)
        self.loop: asyncio.AbstractEventLoop | None = None
        self._ledger, self._chain, self._shadowing = ledger, chain, shadowing
        self._lets_go, self._now, self._monotonic = lets_go, now, monotonic
        self._reload_at = 0.0
        self._following, self._leaving = threading.Lock(), threading.Event()

    def look(self) -> bool:
        """Read what was appended to the ledger; load and prove what is new, then swap. True if it changed.

        A version that cannot be loaded here is passed over (`not_loaded`) and tried again after 30 s. Call it
        from a thread: loading takes its time. What is appended meanwhile is followed at once where it does not need
        the version that is being loaded: a rollback never waits for a challenger that is slow to start.
        """
        with self._following:
            self._end_latched_trial()
            old = self.state
            roles = self._read(old.roles)
            again = bool(old.failures) and self._monotonic() >= self._reload_at
            if roles.sequence == old.roles.sequence and not again and not self.openings.any_done():
                return False
            while (new := self._opened(roles, old)) is None:
                self.openings.wait(OPENING_S)
                if self._leaving.is_set():
                    return False
                roles = self._read(roles)
            self._swap(new)
            return True

    def give_back(self) -> None:
        """Close the engines that no state has a use for any more. On the loop, where one runs."""
        done = [state for state in self.retired if not state.open]
        self.retired = [state for state in self.retired if state.open]
        used = {id(each) for state in (*self.retired, self.state) for each in _engines(state)}
        unused = {id(e): e for state in done for e in _engines(state) if id(e) not in used}
        for each in unused.values():
            if isinstance(each, predict.Lane):
                each.leave()
        if unused and self.loop is not None and self.loop.is_running():
            self.loop.run_in_executor(None, _close, list(unused.values()))  # a process takes its time to end
        else:
            _close(list(unused.values()))

    def leave(self) -> None:
        """The end is near: `look` waits for no version any more."""
        self._leaving.set()

    def close(self) -> None:
        """Give back every engine, those too that are being opened."""
        self.leave()
        with self._following:
            self.openings.let_go()
            self._swap(State())
            self.give_back()

    def _end_latched_trial(self) -> None:
        """A challenger whose breaker latched is let go at once, not at the next tick. (Not on the replay clock, where
        nothing that the machine does decides.)"""
        trial = self.state.routes.trial if self.state.routes is not None else None
        if trial is None or not self._lets_go or self._chain.state_of(trial.challenger) != "latched":
            return
        roles = self._read(self.state.roles)
        if roles.trial is not None and roles.trial.name == trial.name:
            reason = f"the breaker of {trial.challenger} latched: it opened for the third time within ten minutes"
            with suppress(LedgerConflict):  # somebody else moved: the next look sees what is left to do
                promote.decide_trial(self._ledger, roles, "roll_back", at=self._now(), actor="breaker", reason=reason)

    def _read(self, roles: Roles) -> Roles:
        behind = self._ledger.sequence() != roles.sequence
        return fold.roles(self._ledger.events(after=roles.sequence), roles) if behind else roles

    def _swap(self, new: State) -> None:
        """Whoever uses the old state ends with it; its engines are closed after that, on the loop."""
        old, self.state = self.state, new
        with self._shadowing:
            pass  # a shadow that uses the old state is done now
        self.retired.append(old)
        if self.loop is not None and self.loop.is_running():
            self.loop.call_soon_threadsafe(self.give_back)
        else:
            self.give_back()

    def _opened(self, roles: Roles, old: State) -> State | None:
        """The state of these roles; None while a version that it needs is being opened.

        A challenger that was promoted goes on answering from where it was opened apart, until it is open here.
        """
        routes = route.routes(roles)
        if routes is None:
            return State(roles)
        challenger = (routes.trial.challenger,) if routes.trial and routes.trial.mode == "split" else ()
        answering = dict.fromkeys((*routes.chain, *challenger))
        needed: list[Needed] = [("lane", name, name not in routes.chain) for name in answering if name not in old.lanes]
        needed += [("shadow", name, name not in routes.chain) for name in routes.shadows if name not in old.shadows]
        wanted: list[Needed] = [("lane", name, False) for name in routes.chain if name in old.apart]
        if not self.openings.are_done(needed, roles.versions):
            return None
        if self.openings.are_done(wanted, roles.versions):
            needed, wanted = needed + wanted, []
        failures: dict[str, str] = {}
        found = self.openings.take(needed, failures, later=wanted)
        lanes = {name: old.lanes[name] for name in answering if name in old.lanes}
        lanes |= {name: self._chain.lane(each) for (kind, name, _), each in found.items() if kind == "lane"}
        shadows = {name: old.shadows[name] for name in routes.shadows if name in old.shadows}
        shadows |= {name: each for (kind, name, _), each in found.items() if kind == "shadow"}
        opened = {name: apart for kind, name, apart in found if kind == "lane"}
        apart = frozenset(name for name in lanes if opened.get(name, name in old.apart))
        self._reload_at = self._monotonic() + _RELOAD_S
        return State(roles, routes, lanes, shadows, failures, apart)


def _close(engines: Sequence[predict.Lane | Engine]) -> None:
    for engine in engines:
        engine.close()


def _engines(state: State) -> list[predict.Lane | Engine]:
    return [*state.lanes.values(), *state.shadows.values()]
