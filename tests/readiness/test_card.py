"""The readiness card: recorded facts earn points, settings alone do not, and a person's word counts for a while."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incumbent.config import parse
from incumbent.loop import promote
from incumbent.loop.fold import roles as fold
from incumbent.readiness import BY_ID, EXPIRES, GROUPS, Card, Line, card
from incumbent.readiness.found import FOUND
from incumbent.readiness.rubric import TESTS, band
from incumbent.records import DAY, Column, Evidence, Outcome, Prediction, Signature, Version
from incumbent.stats.metrics import UNITS_PER_ONE
from incumbent.storage.opening import Facts, open_facts

TASK = '[task]\nname = "t"\nkind = "binary"\ntarget = "y"\nmetric = "brier"\ntime = "at"\n'
SIGNATURE = Signature((Column("x", "number"),), "binary", (0, 1))
START = 1_700_000_000_000_000


class Story:
    """A project whose events are told one by one, and its card after them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.facts: Facts = open_facts(parse(TASK, folder))
        self.at = START

    def card(self, more: str = "", *, now: int | None = None, features: str = "") -> Card:
        config = parse(TASK + features + more, self.folder)
        return card(config, self.facts, self.at if now is None else now)

    def line(self, id: str, more: str = "", **options: Any) -> Line:
        (found,) = (line for line in self.card(more, **options).lines if line.test.id == id)
        return found

    def points(self, id: str, more: str = "", **options: Any) -> float:
        return self.line(id, more, **options).points

    def version(self, name: str, *, recipe: str = "train@1", runtime: str = "sklearn", **more: Any) -> None:
        manifest = {"format": 1, "parts": {"native.skops": more.pop("part", name)}, "golden": "g", "profile": "p"}
        digest = self.facts.blobs.put(json.dumps(manifest).encode())
        until = more.pop("until", self.at)
        made = Version(name, runtime, digest, SIGNATURE, recipe=recipe, trained_until=until, n_rows=9, **more)
        promote.register(self.facts.ledger, self.roles, made, at=self.tick(), actor="a")

    @property
    def roles(self) -> Any:
        return fold(self.facts.ledger.events())

    def tick(self, days: float = 1.0) -> int:
        self.at += int(days * DAY)
        return self.at

    def promote(self, name: str) -> None:
        promote.promote(self.facts.ledger, self.roles, name, at=self.tick(), actor="a", reason="better")

    def trial(self, name: str) -> None:
        promote.start_trial(self.facts.ledger, self.roles, name, at=self.tick(), actor="a", mode="shadow")

    def found(self, step: Any, subject: str, verdict: str = "ship", **numbers: Any) -> None:
        evidence = Evidence(step, subject, verdict, f"{verdict}: {subject}.", self.tick(), "v1", numbers)
        promote.record(self.facts.ledger, evidence, actor="a")

    def served(self, name: str, rows: int = 1, loss: float = 0.1, reason: str | None = None) -> None:
        for i in range(rows):
            id = f"{name}-{self.at}-{i}"
            self.facts.log.append([
                Prediction(id, self.at + i, {"x": 1.0}, name, name, (0.5, 0.5), fallback_reason=reason)
            ])
            self.facts.log.append_outcomes([Outcome(id, 1, self.at + i)])
            self.facts.log.put_losses([(id, name, round(loss * UNITS_PER_ONE))])

    def in_office(self) -> "Story":
        """A baseline, and a model that the gate shipped and a person promoted."""
        self.version("v1", recipe="rule:prior", runtime="rule")
        promote.set_baseline(self.facts.ledger, self.roles, "v1", at=self.tick(), actor="a")
        self.promote("v1")
        self.found("baseline", "prior", "best", rule="prior", value=0.25)
        self.found("gate", "train (held out)", gain=0.1, loss_candidate=0.15, rules=[])
        self.version("v2")
        self.promote("v2")
        return self


@pytest.fixture
def story(tmp_path: Path) -> Iterator[Story]:
    found = Story(tmp_path)
    yield found
    found.facts.close()


# --- the rubric


def test_there_are_28_tests_in_four_groups_of_seven() -> None:
    """Each has its own words, a way to earn it, and facts or a person's word behind it."""
    assert [sum(test.group == group for test in TESTS) for group in GROUPS] == [7, 7, 7, 7]
    assert len(BY_ID) == 28 and set(FOUND) <= set(BY_ID)
    assert {test.id for test in TESTS if test.attested} == set(BY_ID) - set(FOUND)
    assert len({test.says for test in TESTS} | {test.earn for test in TESTS}) == 56


def test_every_test_is_documented() -> None:
    """docs/doctor.md has a row for each, in the same words."""
    page = (Path(__file__).parents[2] / "docs" / "doctor.md").read_text(encoding="utf-8")
    assert [test.id for test in TESTS if f"| `{test.id}` | {test.says} |" not in page] == []


@pytest.mark.parametrize(
    ("score", "word"),
    [(0, "research project"), (0.5, "holes"), (1, "holes"), (1.5, "first pass"), (3, "reasonably"), (5, "strongly"),
     (5.5, "exceptionally"), (7, "exceptionally")],
)  # fmt: skip
def test_bands_are_those_of_the_paper(score: float, word: str) -> None:
    assert word in band(score)


@given(st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=28, max_size=28))
def test_the_score_is_the_smallest_group(points: list[float]) -> None:
    """Strength in one group does not make up for another."""
    found = Card(tuple(Line(test, p, "") for test, p in zip(TESTS, points, strict=True)))
    assert found.score == min(found.groups.values()) <= sum(points) / 4
    assert all(0.0 <= sum_ <= 7.0 for sum_ in found.groups.values())


# --- what facts earn


def test_an_empty_store_earns_nothing(story: Story) -> None:
    """Whatever the settings promise."""
    found = story.card('[retrain]\nevery = "1 month"\n[plan]\nlatency_budget_ms = 5\n[gate]\nmode = "enforce"\n')
    assert found.score == 0.0 and set(found.groups.values()) == {0.0}
    assert all(line.found for line in found.lines)


def test_what_a_gated_model_in_office_has(story: Story) -> None:
    story.in_office()
    points = {line.test.id: line.points for line in story.card().lines if line.points}
    assert points == {
        "data-schema": 0.5, "model-simpler": 1.0, "infrastructure-validated": 1.0, "infrastructure-rollback": 0.5,
        "monitoring-dependencies": 0.5,
    }  # fmt: skip


def test_answers_earn_what_only_answers_show(story: Story) -> None:
    story.in_office().served("v2", 3)
    assert story.points("data-schema") == 1.0
    assert story.points("infrastructure-debuggable") == 1.0
    assert story.points("infrastructure-debuggable", features='private = ["x"]\n') == 0.5
    assert story.points("infrastructure-integrated") == 0.5
    assert story.points("monitoring-inputs") == 0.5
    assert story.points("monitoring-numbers") == 1.0
    story.tick()
    story.served("v1", 1, reason="bad_output")
    assert story.points("monitoring-numbers") == 0.5 and "1 of 4" in story.line("monitoring-numbers").found


def test_listed_features_are_the_only_ones(story: Story) -> None:
    story.in_office()
    assert story.points("data-allowed", features='features = ["x", "z"]\n') == 1.0
    refused = story.line("data-allowed", features='features = ["z"]\n')
    assert refused.points == 0.0 and "reads x" in refused.found


def test_private_data_by_rule_or_by_hand(story: Story) -> None:
    assert story.points("data-private", "[log]\nkeep_days = 90\n") == 1.0
    story.facts.ledger.append("Erased", at=story.tick(), actor="a", reason="", data={"manifests": {}})
    assert story.points("data-private") == 0.5


def test_a_model_that_passed_no_gate_is_not_validated(story: Story) -> None:
    story.in_office()
    story.version("v3", recipe="external")
    story.promote("v3")
    assert (story.points("infrastructure-validated"), story.points("model-simpler")) == (0.0, 0.0)


def test_an_override_is_no_validation(story: Story) -> None:
    story.in_office()
    promote.override(story.facts.ledger, story.roles, "v2", "hold", at=story.tick(), actor="a", reason="hurry")
    assert "overridden" in story.line("infrastructure-validated").found
    assert story.points("infrastructure-validated") == 0.0


def test_a_dry_run_of_the_gate_is_half_a_point(story: Story) -> None:
    assert story.in_office().points("infrastructure-validated", '[gate]\nmode = "dry_run"\n') == 0.5


def test_a_new_recipe_that_wins_its_trial(story: Story) -> None:
    """Canary, speed of a new idea, and whether held-out and live agree: the trial shows all three."""
    story.in_office()
    story.found("gate", "train_big (held out)", gain=0.02, loss_candidate=0.12, rules=[])
    story.version("v3", recipe="train_big@1")
    assert story.points("infrastructure-canaried") == 0.0
    story.trial("v3")
    story.found("live", "v3", "promote", mode="shadow", trial="t", estimate=0.01)
    story.tick(9)
    story.promote("v3")
    assert story.points("infrastructure-canaried") == 1.0
    assert story.points("data-new") == 1.0 and "train_big took 12 days" in story.line("data-new").found
    assert story.points("model-correlates") == 1.0
    story.found("live", "v3", "continue", mode="split", trial="u", estimate=-0.01)
    assert story.points("model-correlates") == 0.0


def test_what_the_ticker_shows(story: Story) -> None:
    """A refit of its own, feeds checked, rows compared as served, the old version beside the new one."""
    story.in_office()
    promote.request_retrain(story.facts.ledger, "cadence", at=story.tick(), actor="a")
    story.found("upkeep", "rows of train", checks=[], n_pairs=0)
    assert (story.points("monitoring-skew"), story.points("monitoring-dependencies")) == (0.5, 1.0)
    story.found("upkeep", "rows of train", checks=[], n_pairs=900)
    assert story.points("monitoring-skew") == 1.0 and "900 rows" in story.line("monitoring-skew").found
    rules = [{"rule": "not_shown_worse", "verdict": "ship"}]
    story.found("gate", "train without the last 14 days", gain=0.0, loss_candidate=0.15, rules=rules)
    assert story.points("model-stale") == 0.5
    story.version("v3", parent="v2")
    story.promote("v3")
    story.found("live", "v2", "continue", mode="watch", trial="w", estimate=0.0)
    assert story.points("infrastructure-integrated") == 1.0
    assert story.points("model-stale") == 1.0


def test_age_is_held_against_the_cadence(story: Story) -> None:
    """At the last answer, not today: a project that rests is not served stale."""
    story.in_office()
    story.tick(20)
    story.served("v2")
    assert story.points("monitoring-age", '[retrain]\nevery = "1 month"\n') == 1.0
    assert story.points("monitoring-age", '[retrain]\nevery = "7 days"\n') == 0.0
    assert "no cadence" in story.line("monitoring-age").found


def test_slices_of_the_gate(story: Story) -> None:
    story.in_office()
    for verdict, points in (("ship", 1.0), ("hold", 0.0)):
        rules = [{"rule": "better_by", "verdict": verdict, "slice": "depot = north"}]
        story.found("gate", "v2", "ship", gain=0.1, loss_candidate=0.15, rules=rules)
        assert story.points("model-slices") == points
    assert "depot = north" in story.line("model-slices").found


def test_two_fits_on_the_same_rows(story: Story) -> None:
    """The same bytes are half a point; other bytes are none, and are named."""
    story.in_office()
    story.version("v3", until=7, part="same")
    story.version("v4", until=7, part="same")
    assert story.points("infrastructure-reproducible") == 0.5
    story.version("v5", until=7, part="other")
    found = story.line("infrastructure-reproducible")
    assert found.points == 0.0 and "v4 and v5" in found.found


def test_speed_by_hand_and_by_the_gate(story: Story) -> None:
    budget = "[plan]\nlatency_budget_ms = 5\n"
    story.in_office()
    assert story.points("monitoring-speed", budget) == 0.0
    story.found("speed", "v2", "ship", budget_ms=5)
    assert (story.points("monitoring-speed", budget), story.points("monitoring-speed")) == (0.5, 0.0)
    rules = [{"rule": "latency_p99_ms", "verdict": "ship"}]
    story.found("gate", "v2", "ship", gain=0.1, loss_candidate=0.15, rules=rules)
    assert story.points("monitoring-speed", budget) == 1.0


def test_quality_needs_labels_and_no_open_alarm(story: Story) -> None:
    story.in_office()
    assert story.points("monitoring-quality") == 0.0
    story.served("v2", 200)
    assert story.points("monitoring-quality") == 0.5
    assert "brier 0.1 on the latest 200" in story.line("monitoring-quality").found
    story.found("live", "v1", "continue", mode="watch", trial="w", estimate=-0.1)
    assert story.points("monitoring-quality") == 1.0
    promote.alarm(story.facts.ledger, "harm", at=story.tick(), actor="a", reason="errors rose")
    assert story.points("monitoring-quality") == 0.0
    assert "errors rose" in story.line("monitoring-quality").found


def test_a_rollback_that_was_practised(story: Story) -> None:
    story.in_office()
    story.version("v3")
    story.promote("v3")
    promote.roll_back(story.facts.ledger, story.roles, lambda _: None, at=story.tick(), actor="a", reason="a drill")
    assert story.points("infrastructure-rollback") == 1.0


# --- a person's word


def test_a_word_is_half_a_point_until_it_expires(story: Story) -> None:
    promote.attest(story.facts.ledger, "model-fair", at=START, actor="ada", reason="errors by age, no difference")
    found = story.line("model-fair", now=START + EXPIRES - 1)
    assert (found.points, found.attested_by, found.attested_until) == (0.5, "ada", START + EXPIRES)
    assert "errors by age" in found.found
    assert story.points("model-fair", now=START + EXPIRES) == 0.0


def test_a_word_adds_nothing_to_what_is_shown(story: Story) -> None:
    """A whole point by facts stays one, and says what was found."""
    story.in_office()
    promote.attest(story.facts.ledger, "model-simpler", at=story.tick(), actor="ada", reason="looked")
    found = story.line("model-simpler")
    assert found.points == 1.0 and "naive rules were fitted" in found.found


def test_the_card_is_json(story: Story) -> None:
    told = story.in_office().card().to_dict()
    assert json.loads(json.dumps(told)) == told and len(told["lines"]) == 28
    assert told["score"] == min(group["points"] for group in told["groups"])
