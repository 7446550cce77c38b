"""Units are assigned by a hash that never reshuffles them; the routes follow from the roles."""

from collections import Counter
from dataclasses import replace
from hashlib import blake2b

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incumbent.loop import route
from incumbent.loop.route import Router, assign, order, routes, share_hash, share_of
from incumbent.records import Roles, Routes, Trial

SPLIT = Trial("t9", "v3", "v2", "split", started_at=0, enrolled=0.5)
ROLES = Roles(sequence=12, stack=("v1", "v2"), baseline="v1", trial=SPLIT)


THIRD = 1 / 3


def split(enrolled: float = 1.0, share: float = 0.5, phase: int = 1, called: float = 0.0) -> Routes:
    trial = replace(SPLIT, enrolled=enrolled, share=share, phase=phase, called=called)
    return Routes(12, "v2", ("v2", "v1"), trial)


@pytest.mark.parametrize(
    ("salt", "unit", "enrol", "arm"),
    [
        ("exp-1", "user-1", 0.899427426804673, 0.9261641363419082),
        ("exp-2", "user-1", 0.809010440986143, 0.5733261158389276),
        ("exp-1", "é", 0.8363590278300211, 0.4057286519313544),
    ],
)
def test_the_hash_is_the_published_one(salt: str, unit: str, enrol: float, arm: float) -> None:
    """The three vectors of the method, digit for digit: other languages can compute the same assignment."""
    assert (share_hash(salt, "enrol", unit), share_hash(salt, "arm", unit)) == (enrol, arm)


@given(st.text(max_size=8), st.sampled_from(["enrol", "arm"]), st.text(max_size=8))
def test_the_begun_hash_is_the_whole_one(salt: str, what: str, unit: str) -> None:
    """However the text is split, it is blake2b over salt, what and unit; a second unit is not added to the first."""
    whole = blake2b("\x1f".join((salt, what, unit)).encode(), digest_size=8).digest()
    share = share_of(salt, what)
    assert [share(unit), share("another"), share(unit)][::2] == [int.from_bytes(whole, "big") / 2**64] * 2


@pytest.mark.parametrize(("share", "called"), [(0.5, 0.0), (THIRD, THIRD)])
def test_nobody_changes_arm_when_more_units_take_part(share: float, called: float) -> None:
    """100,000 units through the router, enrolled 2 → 10 → 50 → 100 %: units are added and none is moved, and every
    share is what it says (within 4 standard errors)."""
    n = 100_000
    units = [f"user-{i}" for i in range(n)]
    before: dict[str, str] = {}
    for enrolled in (0.02, 0.1, 0.5, 1.0):
        now = split(enrolled, share, called=called)
        deals = Router(now).assign
        taking_part = {unit: arm for unit in units if (arm := deals(unit).arm) is not None}
        assert before.items() <= taking_part.items()
        assert abs(len(taking_part) / n - enrolled) <= 4 * (enrolled * (1 - enrolled) / n) ** 0.5
        assert now.trial is not None
        found = Counter(taking_part.values())
        for arm, expected in now.trial.shares.items():
            error = (expected * (1 - expected) / len(taking_part)) ** 0.5
            assert abs(found[arm] / len(taking_part) - expected) <= 4 * error
        before = dict(taking_part)
    assert len(before) == n


def test_enrolment_and_arm_are_independent() -> None:
    """Among units enrolled at 10 % and those that are not, the same share hashes to the challenger's arm."""
    units = [f"u{i}" for i in range(20_000)]
    early = [share_hash("t/1", "arm", u) < 0.5 for u in units if share_hash("t/1", "enrol", u) < 0.1]
    late = [share_hash("t/1", "arm", u) < 0.5 for u in units if share_hash("t/1", "enrol", u) >= 0.1]
    standard_error = (0.25 / len(early) + 0.25 / len(late)) ** 0.5
    assert abs(sum(early) / len(early) - sum(late) / len(late)) <= 4 * standard_error


def test_a_new_phase_deals_anew() -> None:
    """Phases have salts of their own: about half of the units change arm, not none and not all."""
    units = [f"u{i}" for i in range(4_000)]
    moved = sum(assign(split(), unit).arm != assign(split(phase=2), unit).arm for unit in units)
    assert abs(moved / 4_000 - 0.5) <= 4 * (0.25 / 4_000) ** 0.5


def test_the_propensity_is_that_of_the_arm() -> None:
    """With 20 % for the challenger, its rows carry .2 and the incumbent's .8."""
    found = {assign(split(share=0.2), f"u{i}") for i in range(200)}
    by_arm = {each.arm: (each.version, each.propensity, each.trial, each.phase) for each in found}
    assert by_arm == {"challenger": ("v3", 0.2, "t9", 1), "incumbent": ("v2", 0.8, "t9", 1)}


def test_a_third_arm_takes_the_next_share() -> None:
    """u("arm") below the share: the challenger; below the share and the called share: called, the incumbent answers."""
    now = split(share=THIRD, called=THIRD)
    units = [f"u{i}" for i in range(9_000)]
    found = {unit: assign(now, unit) for unit in units}
    for unit, each in found.items():
        place = share_hash("t9/1", "arm", unit)
        arm = "challenger" if place < THIRD else "called" if place < 2 * THIRD else "incumbent"
        assert (each.arm, each.version) == (arm, "v3" if arm == "challenger" else "v2")
        assert each.propensity == pytest.approx(THIRD)
    counts = Counter(each.arm for each in found.values())
    assert all(abs(counts[arm] - 3_000) <= 4 * (9_000 * THIRD * 2 * THIRD) ** 0.5 for arm in now.trial.shares)  # type: ignore[union-attr]
    assert Router(now).calls == "v3" and Router(split()).calls is None


@pytest.mark.parametrize(
    ("place", "arm"),
    [(0.4057286519313544, "called"), (0.5733261158389276, "called"), (0.9261641363419082, "incumbent"),
     (0.25, "challenger")],
)  # fmt: skip
def test_the_published_places_have_their_arm(place: float, arm: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The places of the three vectors, and one below a third, among three arms."""
    monkeypatch.setattr(route, "share_of", lambda salt, what: lambda unit: place if what == "arm" else 0.0)
    assert assign(split(share=THIRD, called=THIRD), "anybody").arm == arm


def test_the_router_remembers_what_is_assigned() -> None:
    """Asked twice it says what `assign` says, whether the unit takes part or not."""
    now = split(enrolled=0.5)
    router = Router(now)
    units = [None, *(f"u{i}" for i in range(200))] * 2
    assert router.alone is None
    assert [router.assign(unit) for unit in units] == [assign(now, unit) for unit in units]


def test_a_row_without_a_unit_takes_part_in_nothing() -> None:
    """It is answered by the incumbent and belongs to no arm."""
    assert assign(split(), None).arm is None
    assert assign(split(), None).version == "v2"


def test_a_shadow_trial_assigns_nobody() -> None:
    """Every row is the incumbent's; the challenger is a shadow."""
    now = routes(replace(ROLES, trial=replace(SPLIT, mode="shadow")))
    assert now is not None
    assert {assign(now, f"u{i}").version for i in range(100)} == {"v2"}
    assert now.shadows == ("v3",)


def test_routes_name_each_version_once() -> None:
    """Chain: incumbent, previous, baseline; shadows: a shadow trial's challenger and the watched version."""
    now = routes(replace(ROLES, watch="v1"))
    assert now is not None
    assert (now.sequence, now.incumbent, now.chain, now.shadows) == (12, "v2", ("v2", "v1"), ("v1",))
    both = routes(replace(ROLES, watch="v3", trial=replace(SPLIT, mode="shadow")))
    assert both is not None
    assert both.shadows == ("v3",)


def test_without_an_incumbent_there_are_no_routes() -> None:
    """Registered versions alone answer nothing."""
    assert routes(Roles(sequence=3)) is None


def test_the_assigned_version_is_asked_first() -> None:
    """Then incumbent, previous and baseline, nobody twice."""
    assert order(split(), "v3") == ("v3", "v2", "v1")
    assert order(split(), "v2") == ("v2", "v1")
