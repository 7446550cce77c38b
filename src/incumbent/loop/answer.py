"""Answer requests: the one way in for the server, for scoring and for Python.

In: requests, outcomes and the ledger that other processes append to. Out: answers that are in the log before
they leave. Composes route, predict, log and shadow. Decides nothing: it follows the ledger, loads and proves
what is new beside the traffic, then swaps its whole state at once.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Literal

from incumbent.clock import wall
from incumbent.config import Config
from incumbent.engines.base import Engine
from incumbent.engines.opening import OpenEngine
from incumbent.errors import DataError, IdReused, IncumbentError, PredictError, RowError, StorageError
from incumbent.loop import fold, log, outcome, predict, route, shadow
from incumbent.records import (
    SECOND,
    Answer,
    Micros,
    Outcome,
    Prediction,
    Request,
    Roles,
    Routes,
    Signature,
)
from incumbent.runtimes.base import Columns
from incumbent.runtimes.signature import to_columns
from incumbent.stats import metrics
from incumbent.storage.base import OutcomeCounts
from incumbent.storage.opening import Facts

Clock = Literal["wall", "replay"]
_LOGGER = logging.getLogger("incumbent")
_RELOAD_S = 30.0
_RACES = 3
REPLAY_DEADLINE_MS = 60_000.0
"""A rehearsal reports latency and decides nothing on it: what it decides must not depend on how busy a machine is."""


@dataclass(frozen=True, slots=True)
class State:
    """What a request uses from start to end. `failures`: the error of each version that is not loaded."""

    roles: Roles = field(default_factory=Roles)
    routes: Routes | None = None
    engines: Mapping[str, Engine] = field(default_factory=dict)
    shadows: Mapping[str, Engine] = field(default_factory=dict)
    failures: Mapping[str, str] = field(default_factory=dict)

    @property
    def signature(self) -> Signature:
        """What requests are checked against: the incumbent's. PredictError while there is none."""
        if self.routes is None:
            raise PredictError("nothing can answer yet: there is no incumbent. Run `incumbent baseline` first.")
        return self.roles.versions[self.routes.incumbent].signature


class Answerer:
    """Answers requests of one project. Several threads may call it; answers are made one batch at a time.

    `clock` is "wall", or "replay": then time comes from the requests, nothing is ahead of the clock, and no
    shadow row is dropped. Call `follow` once before the first request, then again and again; call `shadow`
    after answers.
    """

    def __init__(
        self,
        config: Config,
        facts: Facts,
        open_engine: OpenEngine,
        clock: Clock = "wall",
        *,
        now: Callable[[], Micros] = wall,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.config, self.facts, self.clock = config, facts, clock
        self.counts: Counter[str] = Counter()
        self.now = now
        self._deadline_ms = config.serve.deadline_ms if clock == "wall" else REPLAY_DEADLINE_MS
        self.chain = predict.Chain(self._deadline_ms, monotonic)
        self.queue = shadow.Queue(None if clock == "replay" else shadow.MOST_ROWS)
        self._open_engine, self._monotonic = open_engine, monotonic
        self._metric = metrics.get(config.task.metric, config.task.kind)
        self._private = log.privacy(config.task.private, config.task.unit, config.store_path)
        self._state = State()
        self._reload_at = 0.0
        self._answering, self._following, self._settling, self._shadowing = (threading.Lock() for _ in range(4))

    @property
    def state(self) -> State:
        return self._state

    @property
    def routes(self) -> Routes | None:
        return self._state.routes

    @property
    def ready(self) -> bool:
        """Is at least one version of the chain loaded and proved?"""
        state = self._state
        return state.routes is not None and any(name in state.engines for name in state.routes.chain)

    # --- requests

    def answer(self, requests: Sequence[Request]) -> list[Answer]:
        """Answers in the order of the requests, logged. All or none.

        Raises RowError for a row that is wrong (nothing is assigned or logged), IdReused for an id that came
        with other features, PredictError when no version answered, StorageError when the answer could not be
        kept.
        """
        result = self.answer_each([requests])[0]
        if isinstance(result, IncumbentError):
            raise result
        return result

    def answer_each(self, groups: Sequence[Sequence[Request]]) -> list[list[Answer] | IncumbentError]:
        """Answer several callers' requests as one batch. A wrong group gets its error, the others answers."""
        with self._answering:
            try:
                return self._answer_each(self._state, groups)
            except IncumbentError as error:
                return [error] * len(groups)

    def _answer_each(self, state: State, groups: Sequence[Sequence[Request]]) -> list[list[Answer] | IncumbentError]:
        columns, refused = self._accept(state.signature, groups)
        good = [group for i, group in enumerate(groups) if i not in refused]
        answers: list[list[Answer] | IncumbentError] = []
        try:
            flat = iter(self._keep(state, list(chain.from_iterable(good)), columns))
            answers = [[next(flat) for _ in group] for group in good]
        except DataError:  # an id that came before, or a value that the store cannot keep: whose was it?
            answers = [self._again(state, group) for group in good]
        for i in sorted(refused):
            answers.insert(i, refused[i])
        return answers

    def _accept(
        self, signature: Signature, groups: Sequence[Sequence[Request]]
    ) -> tuple[Columns, dict[int, IncumbentError]]:
        """The columns of all groups that can be used, and the error of each that cannot."""
        try:
            return self._columns(signature, list(chain.from_iterable(groups))), {}
        except RowError:
            refused: dict[int, IncumbentError] = {}
            good: list[Request] = []
            for i, group in enumerate(groups):
                try:
                    self._columns(signature, group)
                    good.extend(group)
                except RowError as error:
                    refused[i] = error
            return self._columns(signature, good), refused

    def _columns(self, signature: Signature, requests: Sequence[Request]) -> Columns:
        if self.clock == "wall":
            self._refuse_ahead([request.at for request in requests], "at")
        return to_columns([request.features for request in requests], signature)

    def _refuse_ahead(self, times: Sequence[Micros], column: str) -> None:
        latest = self.now() + int(self.config.serve.max_ahead_s * SECOND)
        for row, at in enumerate(times):
            if at > latest:
                raise RowError(
                    row, column, at, f"a time at most {self.config.serve.max_ahead_s:g} s ahead of the clock"
                )

    def _keep(self, state: State, requests: Sequence[Request], columns: Columns) -> list[Answer]:
        """Assign, predict and log rows that were accepted; IdReused (nothing is kept) for an id that was."""
        assert state.routes is not None
        if not requests:
            return []
        assigned = [route.assign(state.routes, request.unit) for request in requests]
        predictions: list[Prediction | None] = [None] * len(requests)
        for version in dict.fromkeys(each.version for each in assigned):
            rows = [i for i, each in enumerate(assigned) if each.version == version]
            features = predict.Features(state.signature, columns, [request.features for request in requests], rows)
            served = self.chain.predict(state.engines, route.order(state.routes, version), features.of)
            outputs = served.output.reshape(len(rows), -1).tolist()
            for i, output in zip(rows, outputs, strict=True):
                predictions[i] = self._record(requests[i], assigned[i], served, tuple(output))
        kept = [prediction for prediction in predictions if prediction is not None]
        self.facts.log.append(kept)
        self._count(kept, state.routes)
        if state.routes.shadows:
            whole = predict.Features(state.signature, columns, [r.features for r in requests], range(len(requests)))
            self.queue.put(
                shadow.Answered([p.id for p in kept], [p.served_by for p in kept], state.routes.shadows, whole.of)
            )
        return [log.answer_of(prediction, state.signature) for prediction in kept]

    def _again(self, state: State, requests: Sequence[Request]) -> list[Answer] | IncumbentError:
        """Answer a group in which an id came before: from the log where it did, anew where it did not."""
        try:
            for _ in range(_RACES):
                before = log.answered_before(self.facts.log, requests, self._private)
                fresh = list({r.id: r for r in requests if r.id not in before}.values())
                try:
                    answers = {a.id: a for a in self._keep(state, fresh, self._columns(state.signature, fresh))}
                except IdReused:
                    continue  # another process answered the same id between the two calls: read the log again
                answers |= {id: log.answer_of(prediction, state.signature) for id, prediction in before.items()}
                return [answers[request.id] for request in requests]
            raise StorageError("an id was answered by another process at the same time; send the request again")
        except IncumbentError as error:
            return error

    def _record(
        self, request: Request, assigned: route.Assignment, served: predict.Served, output: tuple[float, ...]
    ) -> Prediction:
        return Prediction(
            id=request.id,
            at=request.at,
            features=self._private.features(request.features),
            version=assigned.version,
            served_by=served.served_by,
            output=output,
            unit=self._private.unit_of(request.unit),
            trial=assigned.trial,
            phase=assigned.phase,
            arm=assigned.arm,
            propensity=assigned.propensity,
            fallback_reason=served.fallback_reason,
            latency_us=served.latency_us,
        )

    def _count(self, kept: Sequence[Prediction], routes: Routes) -> None:
        self.counts["rows"] += len(kept)
        if routes.trial is not None and routes.trial.mode == "split":
            self.counts["unit_missing"] += sum(1 for p in kept if p.unit is None)
        for prediction in kept:
            if prediction.fallback_reason is not None:
                self.counts[f"fallback:{prediction.fallback_reason}"] += 1

    # --- what comes later

    def receive(self, outcomes: Sequence[Outcome]) -> OutcomeCounts:
        """Keep outcomes and compute the losses that they settle. Raises RowError or StorageError."""
        if self.clock == "wall":
            self._refuse_ahead([each.known_at for each in outcomes], "known_at")
        counts = outcome.receive(self.facts.log, outcomes, self._state.signature)
        self.counts["outcomes"] += len(outcomes)
        self._settle()
        return counts

    def shadow(self) -> int:
        """Score the batch that waits longest with the shadows of its routes; its rows, 0 when none waits."""
        with self._shadowing:
            batch = self.queue.take()
            if batch is None:
                return 0
            kept = False
            try:
                said = shadow.score(batch, self._state.shadows, self._deadline_ms)
                self.facts.log.append_shadows(said)
                self._settle()
                kept = True
            finally:
                self.queue.done(batch, kept)
            return len(batch.ids)

    def _settle(self) -> None:
        with self._settling:
            outcome.settle(self.facts.log, self._state.signature, self._metric)

    # --- the ledger

    def follow(self) -> bool:
        """Read what was appended to the ledger; load and prove what is new, then swap. True if it changed.

        A version that cannot be loaded here is passed over (`not_loaded`) and tried again after 30 s.
        """
        with self._following:
            old = self._state
            events = self.facts.ledger.events(after=old.roles.sequence) if self._behind(old) else []
            if not events and not (old.failures and self._monotonic() >= self._reload_at):
                return False
            roles = fold.roles(events, old.roles)
            new = self._opened(roles, old)
            self._state = new
            with self._answering, self._shadowing:
                pass  # whoever still uses the old state is done now; who comes later uses the new one
            _close(old, new)
            return True

    def _behind(self, state: State) -> bool:
        return self.facts.ledger.sequence() != state.roles.sequence

    def _opened(self, roles: Roles, old: State) -> State:
        routes = route.routes(roles)
        if routes is None:
            return State(roles)
        challenger = (routes.trial.challenger,) if routes.trial and routes.trial.mode == "split" else ()
        failures: dict[str, str] = {}
        engines = self._load(roles, (*routes.chain, *challenger), old.engines, failures)
        shadows = self._load(roles, routes.shadows, old.shadows, failures)
        self._reload_at = self._monotonic() + _RELOAD_S
        return State(roles, routes, engines, shadows, failures)

    def _load(
        self, roles: Roles, names: Sequence[str], there: Mapping[str, Engine], failures: dict[str, str]
    ) -> dict[str, Engine]:
        engines: dict[str, Engine] = {}
        for name in dict.fromkeys(names):
            if name in there:
                engines[name] = there[name]
                continue
            try:
                engines[name] = self._open_engine(roles.versions[name])
                self.chain.breaker(name).reset()
            except IncumbentError as error:
                _LOGGER.warning("%s cannot be loaded, its fallback answers: %s", name, error)
                failures[name] = type(error).__name__
        return engines

    def close(self) -> None:
        """Give back engines. The stores belong to the caller."""
        with self._following:
            old, self._state = self._state, State()
            with self._answering, self._shadowing:
                pass
            _close(old, self._state)


def _close(old: State, new: State) -> None:
    """Close the engines that the new state has no use for."""
    kept = {id(engine) for engine in chain(new.engines.values(), new.shadows.values())}
    for engine in chain(old.engines.values(), old.shadows.values()):
        if id(engine) not in kept:
            engine.close()
