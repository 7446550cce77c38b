"""A unit goes from the log and from golden rows, others come in, and whatever stops it leaves versions that load."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from incumbent.checks.storage.opened import predicted
from incumbent.config import Config, Task
from incumbent.errors import StoreFull
from incumbent.loop import promote
from incumbent.loop.erase import Exchanged, Forgotten, forget
from incumbent.loop.fold import roles
from incumbent.loop.sentences import sentence
from incumbent.records import Column, Event, Signature, Version
from incumbent.runtimes import artefact
from incumbent.runtimes.rule import Rule
from incumbent.storage.base import Gone
from incumbent.storage.opening import Facts, open_facts

SIGNATURE = Signature((Column("who", "integer"), Column("hour", "integer")), "binary", (0, 1))


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(Task("late", "binary", "late", "brier", unit="who"), folder=tmp_path)


@pytest.fixture
def facts(config: Config) -> Iterator[Facts]:
    with open_facts(config) as found:
        yield found


def registered(facts: Facts, config: Config, name: str, who: list[int]) -> None:
    """A rule whose golden rows are of these units."""
    columns = {"who": np.array(who, dtype=float), "hour": np.arange(len(who), dtype=float)}
    rule = Rule({"rule": "prior", "probabilities": [0.75, 0.25]}, SIGNATURE)
    saved = artefact.save(facts.blobs, rule, runtime="rule", signature=SIGNATURE, sample=columns,
                          versions=config.versions)  # fmt: skip
    version = Version(name, "rule", saved.manifest, SIGNATURE, saved.serves)
    promote.register(facts.ledger, now(facts), version, at=1, actor="test")


def now(facts: Facts) -> Any:
    return roles(facts.ledger.events())


def logged(facts: Facts, *units: int) -> None:
    facts.log.append([
        predicted(f"p{n}", n, unit=str(who), features={"who": who, "hour": 12, "gate": "B7"})
        for n, who in enumerate(units)
    ])  # fmt: skip


def forgotten(facts: Facts, config: Config, **what: Any) -> Forgotten:
    return forget(facts, now(facts).versions, config, **what, at=5, actor="test")


def units(facts: Facts, name: str) -> list[Any]:
    """Of the golden rows of a version, which must load."""
    manifest = now(facts).versions[name].manifest
    artefact.open_version(facts.blobs, manifest, Config(Task("late", "binary", "late", "brier")).versions)
    return [row["who"] for row in artefact.golden_rows(facts.blobs, manifest)]


def test_rows_come_from_the_log_and_then_from_other_versions(facts: Facts, config: Config) -> None:
    """Here the log has one row of another unit, and the other version the rest; both kinds hold what requests hold."""
    registered(facts, config, "v1", [7, 7, 7, 1])
    registered(facts, config, "v2", [2, 3, 7])
    logged(facts, 7, 4, 7)
    found = forgotten(facts, config, unit="7")
    assert found.gone == Gone(predictions=2)
    assert units(facts, "v1") == [1, 4, 2, 3]
    assert units(facts, "v2") == [2, 3, 4]
    assert found.golden == (Exchanged("v1", 3, 3), Exchanged("v2", 1, 1))
    assert (found.golden_rows, found.versions, found.named) == (4, ("v1", "v2"), ())
    assert forgotten(facts, config, unit="7").nothing


def test_a_version_whose_rows_are_all_of_the_unit_is_cleaned_once_there_are_others(
    facts: Facts, config: Config
) -> None:
    """Until then it is named, and is not touched."""
    registered(facts, config, "v1", [7, 7])
    found = forgotten(facts, config, unit="7")
    assert (found.golden_rows, found.versions, found.named, found.nothing) == (0, (), ("v1",), False)
    assert units(facts, "v1") == [7, 7]
    logged(facts, 5)
    found = forgotten(facts, config, unit="7")
    assert (found.golden, found.named) == ((Exchanged("v1", 2, 1, found.golden[0].why),), ())
    assert units(facts, "v1") == [5]


def test_the_old_golden_rows_go_from_the_store_unless_another_version_has_them(facts: Facts, config: Config) -> None:
    """No file holds them; what was stored of the version otherwise stays."""
    registered(facts, config, "v1", [1, 70_707])
    registered(facts, config, "v2", [1, 70_707])
    logged(facts, 5)
    forgotten(facts, config, unit="70707")
    assert units(facts, "v1") == units(facts, "v2") == [1, 5]
    blobs = [path for path in (config.store_path / "blobs").rglob("*") if path.is_file()]
    assert blobs and not any(b"70707" in path.read_bytes() for path in blobs)


def test_nothing_changes_for_a_version_where_the_ledger_cannot_say_so(
    facts: Facts, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It loads with its old golden rows, and the next call does what is left to do."""
    registered(facts, config, "v1", [1, 7])
    logged(facts, 5, 7)

    def full(*_: object, **__: object) -> None:
        raise StoreFull("as if")

    with monkeypatch.context() as here:
        here.setattr(type(facts.ledger), "append", full)
        with pytest.raises(StoreFull):
            forgotten(facts, config, unit="7")
    assert units(facts, "v1") == [1, 7]
    assert forgotten(facts, config, unit="7").golden == (Exchanged("v1", 1, 1),)
    assert units(facts, "v1") == [1, 5]


def test_the_golden_row_of_an_id_goes_with_it(facts: Facts, config: Config) -> None:
    """A logged row may have become one; another with the same values goes too, and neither comes in again."""
    registered(facts, config, "v1", [1, 7])
    logged(facts, 5, 5, 6)
    forgotten(facts, config, unit="7")
    (came,) = set(units(facts, "v1")) - {1}
    id = {5: "p0", 6: "p2"}[came]
    found = forgotten(facts, config, id=id)
    assert found.gone.predictions == 1 and facts.log.find([id]) == {}
    assert found.golden == (Exchanged("v1", 1, 1),)
    assert units(facts, "v1") == [1, 11 - came]
    assert forgotten(facts, config, id="unknown").nothing


def test_the_ledger_counts_and_names_nobody(facts: Facts, config: Config) -> None:
    """For each version how many went and came; an event of before that was counted is told without it."""
    registered(facts, config, "v1", [1, 70_707])
    logged(facts, 5, 70_707)
    forgotten(facts, config, unit="70707")
    (event,) = facts.ledger.events(types=["Erased"])
    assert event.data["golden"] == {"v1": {"gone": 1, "replaced": 1}}
    assert "70707" not in json.dumps({**event.data, "manifests": None})
    assert sentence(event).endswith("1 golden rows (1 of them replaced).")
    older: Event = replace(event, data={name: value for name, value in event.data.items() if name != "golden"})
    assert sentence(older).endswith("with all that hung on them, 1 golden rows.")
