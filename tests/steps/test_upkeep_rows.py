"""Step 5: broken feeds block a refit; whole ones, and seasons, do not."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from incumbent.records import Evidence
from incumbent.stats.drift import Profile, profile
from incumbent.steps.upkeep.rows import Pairs, check_rows

Array = npt.NDArray[Any]
N = 3_000


def feed(seed: int = 0, shift: float = 0.0) -> dict[str, Array]:
    generator = np.random.default_rng(seed)
    temp = generator.normal(15 + shift, 8, N)
    temp[::10] = np.nan
    return {"temp": temp, "town": generator.choice(np.array(["u", "v", None], dtype=object), N)}


REFERENCE: dict[str, Profile] = {name: profile(name, values) for name, values in feed(1).items()}


def checked(columns: dict[str, Array], pairs: Pairs | None = None, **more: Any) -> Evidence:
    return check_rows(REFERENCE, columns, "v4", 9, pairs=pairs, **more)


def kinds(found: Evidence) -> list[str]:
    return [trouble["check"] for trouble in found.numbers["checks"]]


def test_whole_rows_pass() -> None:
    """The same rows served and loaded, and fresh rows of the same kind: ship, with nothing found."""
    found = checked(feed(2), Pairs(feed(2), feed(2), (np.ones(N), np.ones(N))))
    assert (found.verdict, kinds(found), found.at, found.step) == ("ship", [], 9, "upkeep")
    assert f"{N:,} rows compared" in found.sentence


def test_a_changed_unit_is_named_from_few_rows() -> None:
    """Fahrenheit for Celsius in 40 of 3,000 rows blocks, and the unit is said."""
    loaded = feed(2)
    loaded["temp"][1:60] = loaded["temp"][1:60] * 1.8 + 32
    found = checked(loaded, Pairs(feed(2), loaded))
    assert found.verdict == "hold" and kinds(found) == ["served_unit"]
    assert "°F for °C" in found.sentence and "temp" in found.sentence


def test_a_renamed_category_blocks_and_few_corrections_do_not() -> None:
    """All "u" loaded as "U" block; 20 corrected temperatures of 3,000 do not."""
    renamed = feed(2)
    renamed["town"][renamed["town"] == "u"] = "U"
    assert kinds(checked(feed(2), Pairs(feed(2), renamed))) == ["served_renamed"]
    corrected = feed(2)
    corrected["temp"][1:21] += np.random.default_rng(0).normal(size=20)
    assert checked(feed(2), Pairs(feed(2), corrected)).verdict == "ship"


def test_corrupted_labels_block_and_name_the_partition() -> None:
    """60 flipped labels of one day among 3,000 rows block; equal ones do not."""
    logged = np.random.default_rng(0).integers(0, 2, N)
    day = np.arange(N) // 100
    loaded = np.where(day == 7, 1 - logged, logged)
    found = checked(feed(2), Pairs(labels=(logged, loaded), partitions=day))
    assert found.verdict == "hold" and "100% of partition 7" in found.sentence
    assert checked(feed(2), Pairs(labels=(logged, logged), partitions=day)).verdict == "ship"


def test_a_few_corrected_labels_are_no_corruption() -> None:
    """Three corrected labels of 3,000 pass."""
    logged = np.zeros(N)
    assert checked(feed(2), Pairs(labels=(logged, np.where(np.arange(N) < 3, 1, 0)))).verdict == "ship"


def test_half_a_column_null_blocks() -> None:
    """From 10 % null to 55 %."""
    broken = feed(2)
    broken["temp"][::2] = np.nan
    assert kinds(checked(broken)) == ["null"]


def test_unseen_categories_and_frozen_columns_block() -> None:
    """Half the towns new; a temperature that never changes."""
    new = feed(2)
    new["town"][::2] = "w"
    assert kinds(checked(new)) == ["unseen"]
    frozen = feed(2)
    frozen["temp"] = np.full(N, 15.0)
    assert kinds(checked(frozen)) == ["constant"]


@pytest.mark.parametrize("shift", [0.0, 4.0, 8.0, 16.0])
def test_a_season_is_no_changed_unit(shift: float) -> None:
    """Up to two standard deviations warmer, and nothing blocks."""
    assert checked(feed(3, shift)).verdict == "ship"


def test_thousands_are_found_without_pairs() -> None:
    """A factor of a thousand shows in the distribution alone."""
    broken = feed(3)
    broken["temp"] = broken["temp"] * 1000
    assert kinds(checked(broken)) == ["unit"]


def labelled(weeks: int = 20, per: int = 800) -> tuple[Array, Array]:
    """Weekly rates between about .1 and .45, as flights have them."""
    generator = np.random.default_rng(6)
    rates = 1 / (1 + np.exp(-generator.normal(-1.2, 0.45, weeks)))
    week = np.repeat(np.arange(weeks), per)
    return (generator.uniform(size=weeks * per) < rates[week]).astype(np.int64), week


def test_weeks_that_differ_as_weeks_do_pass() -> None:
    """Rates that move with the weather block nothing."""
    labels, week = labelled()
    assert checked(feed(2), labels=labels, partitions=week).verdict == "ship"


def test_a_week_without_any_positive_blocks() -> None:
    """A class that vanished from one partition only."""
    labels, week = labelled()
    found = checked(feed(2), labels=np.where(week == 11, 0, labels), partitions=week)
    assert kinds(found) == ["label_rate"] and "0% of partition 11" in found.sentence


def test_a_flipped_week_among_quiet_ones_blocks() -> None:
    """Where weeks hardly differ, a flipped one is found."""
    generator = np.random.default_rng(0)
    week = np.repeat(np.arange(12), 500)
    labels = (generator.uniform(size=6_000) < 0.2).astype(np.int64)
    found = checked(feed(2), labels=np.where(week == 3, 1 - labels, labels), partitions=week)
    assert kinds(found) == ["label_rate"] and "partition 3" in found.sentence


def test_unchanged_rows_rarely_block() -> None:
    """Fresh rows of the same kind: none of 40 feeds is blocked."""
    assert [checked(feed(100 + seed)).verdict for seed in range(40)] == ["ship"] * 40
