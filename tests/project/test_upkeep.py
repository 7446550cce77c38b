"""The tick: what is due is done and written down once, on rows that were known by then."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from parcels import day, traffic, write

from incumbent.errors import StoreLocked
from incumbent.project import Project, open_project
from incumbent.records import SECOND

MONTHLY = '[retrain]\nevery = "10 days"\nauto_refresh = true\nholdout_days = 7\n'


def served(folder: Path, more: str = MONTHLY, **settings: Any) -> Project:
    """A model of day 40 is the incumbent and has answered until day 50."""
    project = open_project(write(folder, more, **settings), clock=lambda: day(50), actor="test")
    project.baseline(now=day(40))
    version, evidence = project.train(now=day(40))
    assert version is not None
    project.promote(version.name, "it ships", evidence=evidence, now=day(40))
    traffic(project, day(40), day(50))
    return project


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with served(tmp_path) as found:
        yield found


def types(project: Project, after: int = 0) -> list[str]:
    return [event.type for event in project.facts.ledger.events(after=after)]


def given(project: Project) -> list[pd.DataFrame]:
    """Every frame that a recipe was called with."""
    assert project.code is not None
    seen: list[pd.DataFrame] = project.code.module.SEEN
    return seen


def test_nothing_is_due_before_its_day(project: Project) -> None:
    """A second before the cadence's midnight a tick appends nothing."""
    before = project.facts.ledger.sequence()
    assert project.upkeep.tick(now=day(50) - SECOND) == []
    assert project.facts.ledger.sequence() == before


def test_a_refit_on_the_cadence_takes_the_place(project: Project) -> None:
    """Ten days later the recipe is refitted; the refresh is not shown worse, so it answers from then on."""
    before = project.facts.ledger.sequence()
    (decision,) = project.upkeep.tick(now=day(50))
    assert (decision.action, decision.subject) == ("Promoted", "v3")
    assert types(project, before) == [
        "RetrainRequested", "EvidenceRecorded", "GateDecided", "VersionRegistered", "Promoted", "WatchStarted",
    ]  # fmt: skip
    roles = project.roles()
    assert (roles.incumbent, roles.previous, roles.watch) == ("v3", "v2", "v2")
    assert roles.versions["v3"].recipe == roles.versions["v2"].recipe


def test_a_tick_twice_changes_nothing_more(project: Project) -> None:
    """The second tick of the same moment finds everything done."""
    project.upkeep.tick(now=day(50))
    before, drawn = project.facts.ledger.sequence(), project.facts.log.reviews(limit=10_000)
    assert project.upkeep.tick(now=day(50)) == []
    assert types(project, before) == []
    assert project.facts.log.reviews(limit=10_000) == drawn


def test_a_refit_sees_only_what_was_known_by_then(project: Project) -> None:
    """Each row that a recipe is given had its label before the tick; rows that nobody labelled are not there."""
    assert project.code is not None
    known = project.code.module.everything().set_index("serial")["known_at"]
    calls = len(given(project))
    project.upkeep.tick(now=day(50))
    frames = given(project)[calls:]
    latest = [known[frame["serial"]].max().timestamp() * SECOND for frame in frames]
    assert frames and max(latest) < day(50)
    assert not any(frame["late"].isna().any() for frame in frames)
    assert day(49) < max(latest), "rows of the last day before the tick are used"


def test_a_refit_uses_rows_as_they_were_served(project: Project) -> None:
    """After the first logged day the log is the source: what load says of those rows then does not count."""
    assert project.code is not None
    module = project.code.module
    whole = module.everything

    def rewritten() -> pd.DataFrame:
        rows: pd.DataFrame = whole()
        rows.loc[rows["asked"] >= pd.Timestamp(day(40), unit="us", tz="UTC"), "weight"] = 1000.0
        return rows

    module.everything = rewritten
    calls = len(given(project))
    project.upkeep.tick(now=day(50))
    assert given(project)[calls:]
    assert max(frame["weight"].max() for frame in given(project)[calls:]) < 1000


def test_private_features_are_not_learnt_as_hashes(tmp_path: Path) -> None:
    """The log holds them hashed, so a refit takes its rows from load; `why` looks them up there too."""
    folder = write(tmp_path, MONTHLY)
    text = (folder / "incumbent.toml").read_text().replace('unit = ', 'private = ["depot", "weight"]\nunit = ')
    (folder / "incumbent.toml").write_text(text)
    with open_project(folder, clock=lambda: day(50), actor="test") as project:
        project.baseline(now=day(40))
        version, evidence = project.train(now=day(40))
        assert version is not None
        project.promote(version.name, "it ships", evidence=evidence, now=day(40))
        traffic(project, day(40), day(50))
        report = project.why(days=4, now=day(50))
        calls = len(given(project))
        (decision,) = project.upkeep.tick(now=day(50))
        assert decision.action == "Promoted"
        assert {name for frame in given(project)[calls:] for name in frame["depot"]} == {"north", "south", "harbour"}
    assert {e.numbers["check"]: e.verdict for e in report.evidence}["implementation"] == "clean"


def changed_unit(rows: pd.DataFrame, now: datetime) -> pd.DataFrame:
    """Weights of the last five days come in grams."""
    late = rows["asked"] >= pd.Timestamp(now) - pd.Timedelta(days=5)
    return rows.assign(weight=rows["weight"].where(~late, rows["weight"] * 1000))


def corrupted_labels(rows: pd.DataFrame, now: datetime) -> pd.DataFrame:
    """The labels of one served day are turned round."""
    broken = rows["asked"].dt.floor("D") == pd.Timestamp(now).floor("D") - pd.Timedelta(days=4)
    return rows.assign(late=rows["late"].where(~broken, 1 - rows["late"]))


@pytest.mark.parametrize(
    ("feed", "named"), [(changed_unit, "weight"), (corrupted_labels, "labels differ")], ids=["unit", "labels"]
)
def test_a_broken_feed_blocks_the_refit_and_is_named(project: Project, feed: Any, named: str) -> None:
    """Nothing is registered, the incumbent stays, and an alarm says what is broken."""
    project.upkeep.feed = feed
    before = project.facts.ledger.sequence()
    (decision,) = project.upkeep.tick(now=day(50))
    assert decision.action == "RetrainRefused"
    assert named in decision.reason
    found = project.facts.ledger.events(after=before)
    assert {"AlarmRaised", "RetrainRefused"} <= {event.type for event in found}
    assert not {"VersionRegistered", "Promoted"} & {event.type for event in found}
    (alarm,) = [event for event in found if event.type == "AlarmRaised"]
    assert alarm.data["alarm"] == "broken_feed" and named in alarm.reason
    assert project.roles().incumbent == "v2"


def test_after_a_refusal_it_waits_and_then_succeeds_on_whole_rows(project: Project) -> None:
    """No new attempt within retrain.retry_days; after them the whole feed passes."""
    project.upkeep.feed = changed_unit
    project.upkeep.tick(now=day(50))
    project.upkeep.feed = None
    traffic(project, day(50), day(57))
    before = project.facts.ledger.sequence()
    assert project.upkeep.tick(now=day(57) - SECOND) == []
    assert types(project, before) == []
    (decision,) = project.upkeep.tick(now=day(57))
    assert decision.action == "Promoted"


def test_a_recipe_that_never_earned_its_place_goes_on_trial(tmp_path: Path) -> None:
    """Where the incumbent is no version of the recipe, the refit must be shown better, and then on live traffic."""
    folder = write(tmp_path, '[retrain]\nevery = "10 days"\nauto_refresh = true\nrecipe = "train"\n')
    with open_project(folder, clock=lambda: day(50), actor="test") as project:
        project.baseline(now=day(30))
        weak = project.fit("train_useless", now=day(30))
        project.promote(weak.name, "to have one", now=day(30))
        module = project.code.module  # type: ignore[union-attr]
        del module.train_useless
        traffic(project, day(30), day(40))
        (decision,) = project.upkeep.tick(now=day(40))
        trial = project.roles().trial
    assert decision.action == "TrialStarted"
    assert trial is not None and (trial.challenger, trial.incumbent) == (decision.subject, "v2")


def test_without_code_nothing_is_refitted(tmp_path: Path) -> None:
    """A project with no task.code still ticks: the review list is drawn, no refit is asked for."""
    with served(tmp_path) as project:
        project.code = None
        before = project.facts.ledger.sequence()
        assert project.upkeep.tick(now=day(60)) == []
        assert types(project, before) == []


def test_without_an_incumbent_a_tick_does_nothing(tmp_path: Path) -> None:
    with open_project(write(tmp_path)) as project:
        assert project.upkeep.tick(now=day(50)) == []
        assert project.facts.ledger.events() == []


def test_reviews_are_drawn_with_their_propensity(tmp_path: Path) -> None:
    """The last day's rows: some by pure chance, the rest by their doubt, each with the chance that it had."""
    with served(tmp_path, "[review]\nper_day = 20\naudit = 0.5\n") as project:
        project.upkeep.tick(now=day(50))
        drawn = project.facts.log.reviews(limit=1000)
    assert 5 <= len(drawn) <= 40  # 20 are expected of 48
    assert {row.reason for row in drawn} == {"audit", "doubtful"}
    audit = 20 * 0.5 / 48
    assert all(audit <= row.propensity <= 1 for row in drawn)
    assert all(day(49) <= row.at < day(50) for row in drawn)
    assert {row.version for row in drawn} == {"v2"}


def test_one_ticker_at_a_time(project: Project) -> None:
    """While another process holds the lease a tick is refused, and says why."""
    assert project.facts.ledger.lease("tick", "elsewhere/1", 600.0)
    with pytest.raises(StoreLocked, match="another process is ticking"):
        project.upkeep.tick(now=day(50))
    project.facts.ledger.release("tick", "elsewhere/1")
    assert project.upkeep.tick(now=day(50))


def test_a_replaced_version_comes_back_when_it_is_shown_better(tmp_path: Path) -> None:
    """The successor is worse on what follows: the watch takes it back by itself, with evidence."""
    more = MONTHLY.replace("10 days", "100 days") + "[live]\nwindow_hours = 48\n"
    with served(tmp_path, more, per_day=192, days=75) as project:
        worse = project.fit("train_useless", now=day(50))
        project.promote(worse.name, "a mistake", now=day(50))
        project.live.watch("v2", day(50))
        for number in range(50, 70):
            traffic(project, day(number), day(number + 1), told=day(75))
            project.upkeep.tick(now=day(number + 1))
            if project.roles().incumbent == "v2":
                break
        back = project.facts.ledger.events(types=["RolledBack"])
        assert [event.data["version"] for event in back] == [worse.name]
        assert back[0].data["evidence"]["numbers"]["rows"] >= 20 * 30
        assert project.roles().incumbent == "v2"
