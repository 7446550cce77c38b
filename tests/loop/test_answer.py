"""Requests in, logged answers out: validation, assignment that sticks, fallback, retries, the ledger's moves."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from incumbent import config
from incumbent.errors import GoldenMismatch, IdReused, PredictError, PredictTimeout, RowError
from incumbent.loop import fold, promote, route
from incumbent.loop.answer import Answerer
from incumbent.records import DAY, Answer, Column, Outcome, Request, Roles, Signature, Version
from incumbent.runtimes.base import Columns, Floats
from incumbent.storage.opening import Facts, open_facts

TOML = '[task]\nname="t"\nkind="binary"\ntarget="late"\nmetric="brier"\nunit="tail"\nprivate=["tail"]\n'
SIGNATURE = Signature((Column("hour", "integer", nullable=False), Column("tail", "string")), "binary", (0, 1))
NOW = 400 * DAY


class Fixed:
    """An engine that gives every row the same probability, unless it has an error to raise."""

    prompt = True

    def __init__(self, version: Version, p: float) -> None:
        self.version, self.signature, self.p = version.name, version.signature, p
        self.error: PredictError | None = None
        self.closed = self.apart = False

    def predict(self, columns: Columns, deadline_ms: float) -> Floats:
        assert not self.closed
        if self.error is not None:
            raise self.error
        n = len(columns["hour"])
        return np.column_stack([np.full(n, 1 - self.p), np.full(n, self.p)])

    def close(self) -> None:
        self.closed = True


class World:
    """A project with stores in a folder, engines that obey the test, and a ledger that the test writes."""

    def __init__(self, folder: Path, clock: Any = "wall", toml: str = TOML) -> None:
        self.config = config.parse(toml, folder)
        self.facts: Facts = open_facts(self.config)
        self.engines: dict[str, list[Fixed]] = {}
        self.broken: set[str] = set()
        self.ticks = 0.0
        self.opening: Callable[[], Any] = lambda: None
        self.answerer = Answerer(
            self.config, self.facts, self.opens, clock, now=lambda: NOW, monotonic=lambda: self.ticks
        )

    def opens(self, version: Version, *, apart: bool = False) -> Fixed:
        if version.name in self.broken:
            raise GoldenMismatch(f"{version.name}: golden row 3 differs")
        self.opening()
        engine = Fixed(version, int(version.name[1:]) / 10)
        engine.apart = apart
        self.engines.setdefault(version.name, []).append(engine)
        return engine

    @property
    def roles(self) -> Roles:
        return fold.roles(self.facts.ledger.events())

    def register(self, *names: str, signature: Signature = SIGNATURE) -> None:
        for name in names:
            version = Version(name, "rule", "0" * 64, signature)
            promote.register(self.facts.ledger, self.roles, version, at=NOW, actor="test")

    def lead(self, name: str) -> None:
        promote.promote(self.facts.ledger, self.roles, name, at=NOW, actor="test", reason="a test")

    def trial(self, challenger: str, mode: Any) -> None:
        promote.start_trial(
            self.facts.ledger, self.roles, challenger, at=NOW, actor="test", mode=mode, name="t", reason="a test"
        )

    def logged(self) -> list[Any]:
        return [row.prediction for rows in self.facts.log.scan() for row in rows]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., World]]:
    made: list[World] = []

    def makes(**settings: Any) -> World:
        made.append(World(tmp_path, **settings))
        return made[-1]

    yield makes
    for world in made:
        world.answerer.close()
        world.facts.close()


@pytest.fixture
def world(make: Callable[..., World]) -> World:
    """v1 is the baseline and was the incumbent before v2; v3 is registered."""
    world = make()
    world.register("v1", "v2", "v3")
    promote.set_baseline(world.facts.ledger, world.roles, "v1", at=NOW, actor="test")
    world.lead("v1")
    world.lead("v2")
    world.answerer.follow()
    return world


def row(id: str, hour: Any = 5, unit: str | None = None, at: int = NOW) -> Request:
    return Request(id, at, {"hour": hour, "tail": unit}, unit)


def test_an_answer_is_in_the_log(world: World) -> None:
    """What the client hears is what is kept, before it is heard."""
    (answer,) = world.answerer.answer([row("a")])
    assert answer == Answer("a", 0, "v2", "v2", {"0": 0.8, "1": 0.2})
    (kept,) = world.logged()
    assert (kept.id, kept.version, kept.served_by, kept.output) == ("a", "v2", "v2", (0.8, 0.2))


@pytest.mark.parametrize("hour", ["5", None, 5.5, True])
def test_a_wrong_row_is_refused_before_anything_happens(world: World, hour: Any) -> None:
    """The error names row and column; nothing is logged, and no fallback hides it."""
    with pytest.raises(RowError) as refused:
        world.answerer.answer([row("a"), row("b", hour)])
    assert (refused.value.row, refused.value.column) == (1, "hour")
    assert world.logged() == []


def test_one_callers_mistake_is_not_the_others(world: World) -> None:
    """In one batch, the wrong group gets its error with its own row number, and the others their answers."""
    first, wrong, last = world.answerer.answer_each([[row("a")], [row("b"), row("c", "x")], [row("d"), row("e")]])
    assert isinstance(first, list) and isinstance(last, list)
    assert [a.id for a in first + last] == ["a", "d", "e"]
    assert isinstance(wrong, RowError) and wrong.row == 1
    assert {p.id for p in world.logged()} == {"a", "d", "e"}


def test_an_error_of_our_own_ends_the_requests_of_its_batch(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for ever, nothing is counted as waiting, and the next request is answered."""

    def breaks(values: Any) -> None:
        raise ZeroDivisionError("a mistake")

    monkeypatch.setattr(world.answerer.state.reader, "columns", breaks)
    with pytest.raises(ZeroDivisionError, match="a mistake"):
        world.answerer.answer([row("a"), row("b")])
    monkeypatch.undo()
    assert world.answerer.waiting == 0 and world.logged() == []
    assert world.answerer.answer([row("c")])[0].id == "c"


def test_a_retry_hears_the_logged_answer(world: World) -> None:
    """Even when another version answers by now; new rows beside it are answered anew."""
    (first,) = world.answerer.answer([row("a")])
    world.lead("v3")
    world.answerer.follow()
    again, new = world.answerer.answer([row("a"), row("b")])
    assert (again, new.version) == (first, "v3")
    assert len(world.logged()) == 2


def test_a_repeated_row_in_one_request_is_answered_once(world: World) -> None:
    """Twice the same id and features is one prediction and two equal answers."""
    one, two = world.answerer.answer([row("a"), row("a")])
    assert one == two
    assert len(world.logged()) == 1


def test_an_id_with_other_features_fails_alone(world: World) -> None:
    """409 for the group that reuses an id; the other group of the batch is answered."""
    world.answerer.answer([row("a")])
    reused, fine = world.answerer.answer_each([[row("a", 6)], [row("b")]])
    assert isinstance(reused, IdReused)
    assert isinstance(fine, list) and fine[0].id == "b"


def test_the_fallback_answers_and_the_arm_stays(world: World) -> None:
    """Intention to treat: a challenger that fails keeps its rows, and the answer says who served them and why."""
    world.trial("v3", "split")
    world.answerer.follow()
    world.engines["v3"][0].error = PredictTimeout("late")
    answers = world.answerer.answer([row(f"r{i}", unit=f"N{i}") for i in range(40)])
    kept = {p.id: p for p in world.logged()}
    challenged = [a for a in answers if kept[a.id].arm == "challenger"]
    assert 8 <= len(challenged) <= 32  # 20 expected, 4 standard errors
    assert {(a.version, a.served_by, a.fallback_reason) for a in challenged} == {("v3", "v2", "timeout")}
    others = [a for a in answers if kept[a.id].arm == "incumbent"]
    assert {(a.version, a.served_by, a.fallback_reason) for a in others} == {("v2", "v2", None)}
    assert len(challenged) + len(others) == 40
    assert {kept[a.id].output for a in challenged} == {(0.8, 0.2)}


def test_the_chain_ends_at_the_baseline(world: World) -> None:
    """Incumbent down: the previous one, here the baseline, answers. Nobody left: an error, and nothing is logged."""
    world.engines["v2"][0].error = PredictError("no")
    (answer,) = world.answerer.answer([row("a")])
    assert (answer.version, answer.served_by, answer.fallback_reason) == ("v2", "v1", "error")
    world.engines["v1"][0].error = PredictError("no")
    with pytest.raises(PredictError, match="no version answered"):
        world.answerer.answer([row("b")])
    assert len(world.logged()) == 1


def test_units_that_are_private_are_hashed(world: World) -> None:
    """Neither the unit nor the private feature lies in the log as it came."""
    world.answerer.answer([row("a", unit="N1234")])
    assert "N1234" not in repr(world.logged())


def test_a_time_ahead_of_the_clock_is_refused(world: World) -> None:
    """Five minutes are tolerated; outcomes of the future too are refused."""
    world.answerer.answer([row("a", at=NOW + 299_000_000)])
    with pytest.raises(RowError, match="ahead of the clock"):
        world.answerer.answer([row("b", at=NOW + 301_000_000)])
    with pytest.raises(RowError, match="ahead of the clock"):
        world.answerer.receive([Outcome("a", 1, NOW + 301_000_000)])


def test_on_the_replay_clock_nothing_is_ahead(make: Callable[..., World]) -> None:
    """Time comes from the requests."""
    world = make(clock="replay")
    world.register("v1")
    world.lead("v1")
    world.answerer.follow()
    assert world.answerer.answer([row("a", at=NOW + 1000 * DAY)])[0].version == "v1"


def test_shadows_score_later_and_are_settled(world: World) -> None:
    """An outcome that came first settles the shadow's loss when the shadow has spoken."""
    world.trial("v3", "shadow")
    world.answerer.follow()
    answers = world.answerer.answer([row("a"), row("b")])
    assert {a.version for a in answers} == {"v2"}
    assert world.answerer.queue.backlog == 2
    world.answerer.receive([Outcome("a", 1, NOW), Outcome("b", 0, NOW)])
    assert world.answerer.shadow() == 2
    assert (world.answerer.queue.backlog, world.answerer.shadow()) == (0, 0)
    (block,) = world.facts.log.block_sums("v2", "v3", DAY, 0, 2 * NOW, 2 * NOW)
    assert (block.rows, block.loss_reference, block.loss_candidate) == (2, 680_000_000, 580_000_000)


def test_a_shadow_never_uses_the_engine_of_an_answer(world: World) -> None:
    """The watched version is loaded a second time, so that scoring never makes an answer wait."""
    promote.watch(world.facts.ledger, world.roles, "v1", at=NOW, actor="test")
    world.answerer.follow()
    assert len(world.engines["v1"]) == 2


def test_routes_follow_the_ledger(world: World) -> None:
    """A promotion is served after `follow`; engines that are needed no more are closed, the others stay open."""
    assert not world.answerer.follow()
    world.lead("v3")
    assert world.answerer.answer([row("a")])[0].version == "v2"
    assert world.answerer.follow()
    assert world.answerer.answer([row("b")])[0].version == "v3"
    assert world.answerer.routes is not None
    assert world.answerer.routes.chain == ("v3", "v2", "v1")
    promote.roll_back(world.facts.ledger, world.roles, lambda version: None, at=NOW, actor="test", reason="a test")
    world.answerer.follow()
    assert world.answerer.answer([row("c")])[0].version == "v2"
    assert [engine.closed for engine in world.engines["v3"]] == [True]
    assert [engine.closed for engine in world.engines["v2"]] == [False]


def test_a_version_that_does_not_load_is_passed_over(world: World) -> None:
    """Its fallback answers and says so; after half a minute it is tried again."""
    world.broken.add("v3")
    world.lead("v3")
    world.answerer.follow()
    (answer,) = world.answerer.answer([row("a")])
    assert (answer.version, answer.served_by, answer.fallback_reason) == ("v3", "v2", "not_loaded")
    assert world.answerer.state.failures == {"v3": "GoldenMismatch"}
    world.broken.clear()
    assert not world.answerer.follow()
    world.ticks += 30
    assert world.answerer.follow()
    assert world.answerer.answer([row("b")])[0].served_by == "v3"


def test_a_challenger_with_another_column_reads_it_from_the_row(world: World) -> None:
    """More optional columns are fine: extra features of a request are there for the version that knows them."""
    wide = replace(SIGNATURE, columns=(*SIGNATURE.columns, Column("wind", "number")))
    world.register("v4", signature=wide)
    world.trial("v4", "split")
    world.answerer.follow()
    requests = [Request(f"r{i}", NOW, {"hour": 1, "wind": 2.5}, f"N{i}") for i in range(40)]
    answers = world.answerer.answer(requests)
    assert {(a.version, a.fallback_reason) for a in answers} == {("v2", None), ("v4", None)}


def test_without_an_incumbent_nothing_answers(make: Callable[..., World]) -> None:
    """The error says what to do."""
    world = make()
    world.register("v1")
    world.answerer.follow()
    assert not world.answerer.ready
    with pytest.raises(PredictError, match="Run `incumbent baseline` first"):
        world.answerer.answer([row("a")])


def test_losses_are_those_of_what_was_served(world: World) -> None:
    """An outcome gives the served answer its loss; told again it changes nothing, corrected it does."""
    world.answerer.answer([row("a")])
    assert world.answerer.receive([Outcome("a", 1, NOW)]).accepted == 1
    assert world.answerer.receive([Outcome("a", 1, NOW)]).repeated == 1
    sums = world.facts.log.period_sums(DAY, 0, 2 * NOW, 2 * NOW)
    assert [(s.rows, s.labelled, s.loss) for s in sums] == [(1, 1, 640_000_000)]
    assert world.answerer.receive([Outcome("a", 0, NOW)]).corrected == 1
    assert world.facts.log.period_sums(DAY, 0, 2 * NOW, 2 * NOW)[0].loss == 40_000_000


@pytest.mark.parametrize("mode", ["split", "shadow"])
def test_a_challenger_is_opened_apart(world: World, mode: str) -> None:
    """It has not earned its place; those that have are opened where they answer."""
    world.trial("v3", mode)
    world.answerer.follow()
    assert [each.apart for each in world.engines["v3"]] == [True]
    assert [each.apart for name in ("v1", "v2") for each in world.engines[name]] == [False, False]


def test_a_called_challenger_is_heard_and_not_served(world: World) -> None:
    """Third arm: the incumbent's answer leaves, with its own output and no reason; what the challenger said is kept as
    a shadow's, whose loss is settled; a call that fails leaves its reason there."""
    promote.start_trial(
        world.facts.ledger, world.roles, "v3", at=NOW, actor="test", mode="split", share=1 / 3, called=1 / 3, name="t",
        reason="a test",
    )  # fmt: skip
    world.answerer.follow()
    requests = [row(f"r{i}", unit=f"N{i}") for i in range(60)]
    answers = {each.id: each for each in world.answerer.answer(requests[:30])}
    world.engines["v3"][0].error = PredictTimeout("late")
    answers |= {each.id: each for each in world.answerer.answer(requests[30:])}
    kept = {p.id: p for p in world.logged()}
    called = sorted(id for id in kept if kept[id].arm == "called")
    assert 6 <= len(called) <= 34  # 20 expected, 4 standard errors
    assert {(answers[id].version, answers[id].served_by, answers[id].fallback_reason) for id in called} == {
        ("v2", "v2", None)
    }
    assert {(kept[id].output, kept[id].trial, kept[id].propensity) for id in called} == {((0.8, 0.2), "t", 1 / 3)}
    world.answerer.receive([Outcome(id, 1, NOW) for id in called])
    assert world.answerer.queue.backlog == len(called)
    while world.answerer.shadow():
        pass
    (block,) = world.facts.log.block_sums("v2", "v3", DAY, 0, 2 * NOW, 2 * NOW)
    heard = sum(int(id[1:]) < 30 for id in called)
    assert (block.rows, block.loss_reference, block.loss_candidate) == (heard, heard * 640_000_000, heard * 490_000_000)
    assert world.facts.log.shadow_failures("v3", 0) == (len(called) - heard, len(called))


def test_units_come_from_their_feature(world: World) -> None:
    """A row that names no unit has that of the feature `task.unit`; without either it takes part in nothing, and is
    counted while a split runs."""
    world.trial("v3", "split")
    world.answerer.follow()
    named = world.answerer.answer([row(f"a{i}", unit=f"N{i}") for i in range(20)])
    features = [Request(f"b{i}", NOW, {"hour": 5, "tail": f"N{i}"}) for i in range(20)]
    assert [a.version for a in world.answerer.answer(features)] == [a.version for a in named]
    assert {a.version for a in named} == {"v2", "v3"}
    without = world.answerer.answer([row(f"c{i}") for i in range(20)])
    assert {a.version for a in without} == {"v2"}
    assert world.answerer.counts["unit_missing"] == 20
    assert {p.arm for p in world.logged() if p.id.startswith("c")} == {None}


def test_an_outcome_after_the_window_is_kept_and_counted(world: World) -> None:
    """A day after its prediction, by default: at that moment it is late; what waits for its prediction is not."""
    world.answerer.answer([row("a", at=NOW - 2 * DAY), row("b", at=NOW - 2 * DAY)])
    told = [Outcome("a", 1, NOW - DAY), Outcome("b", 1, NOW - DAY - 1), Outcome("c", 1, NOW)]
    counts = world.answerer.receive(told)
    assert (counts.accepted, counts.pending, counts.late) == (2, 1, 1)


def test_a_latched_challenger_is_gone_with_the_next_look(world: World) -> None:
    """The third opening of its breaker: the same look at the ledger that ends the trial takes it from the routes. (That
    look comes every `serve.poll_s`, and those of other processes as often: two seconds by default.)"""
    world.trial("v3", "split")
    world.answerer.follow()
    routes = world.answerer.routes
    assert routes is not None
    challenged = next(u for u in (f"N{i}" for i in range(99)) if route.assign(routes, u).arm == "challenger")
    world.engines["v3"][0].error = PredictError("no")
    number = iter(range(999))
    for opening in (1, 2, 3):
        while world.answerer.chain.state_of("v3") in ("closed", "half_open"):
            world.answerer.answer([row(f"r{next(number)}", unit=challenged)])
        assert world.answerer.chain.state_of("v3") == ("latched" if opening == 3 else "open")
        assert world.answerer.routes is not None and world.answerer.routes.trial is not None
        world.ticks += 31
    assert world.answerer.follow()
    assert world.answerer.routes.trial is None
    *_, last = world.facts.ledger.events()
    assert (last.type, last.actor, last.data["verdict"]) == ("TrialDecided", "breaker", "roll_back")
    (after,) = world.answerer.answer([row("after", unit=challenged)])
    assert (after.version, after.served_by, after.fallback_reason) == ("v2", "v2", None)


def test_a_challenger_that_was_an_incumbent_has_its_place(world: World) -> None:
    """The version before the incumbent is loaded behind it: the trial asks it where it is."""
    world.trial("v1", "split")
    world.answerer.follow()
    assert [each.apart for each in world.engines["v1"]] == [False]


def test_a_promoted_challenger_answers_at_once_and_moves_later(world: World) -> None:
    """It answers from where it was opened apart, until it is open here; then that one is given back."""
    world.trial("v3", "split")
    world.answerer.follow()
    (apart,) = world.engines["v3"]
    may_open = threading.Event()
    world.opening = lambda: may_open.wait(30)
    world.lead("v3")
    world.answerer.follow()
    (said,) = world.answerer.answer([row("now")])
    assert said.served_by == "v3" and not apart.closed and world.engines["v3"] == [apart]
    may_open.set()
    limit = time.monotonic() + 30
    while len(world.engines["v3"]) == 1 or not world.answerer.follow():
        assert time.monotonic() < limit
        time.sleep(0.01)
    (said,) = world.answerer.answer([row("later")])
    assert said.served_by == "v3" and said.fallback_reason is None
    assert apart.closed and not world.engines["v3"][-1].apart
    assert not world.answerer.follow()
