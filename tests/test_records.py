"""The nouns: frozen values, and time as microseconds since 1970."""

from dataclasses import FrozenInstanceError
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incumbent.records import Column, Decision, Roles, Signature, Trial, micros, moment


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_time_survives_the_way_there_and_back(at: datetime) -> None:
    """No microsecond is lost, before 1970 too."""
    assert moment(micros(at)) == at


def test_the_zone_of_a_time_does_not_matter() -> None:
    at = datetime(2013, 4, 1, 8, tzinfo=UTC)
    assert micros(at) == micros(at.astimezone(timezone(timedelta(hours=5, minutes=30))))


def test_a_naive_time_is_refused() -> None:
    with pytest.raises(ValueError, match="naive time 2013-04-01"):
        micros(datetime(2013, 4, 1))


def test_values_are_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        Column("hour", "integer").name = "minute"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("stack", "incumbent", "previous"),
    [((), None, None), (("v1",), "v1", None), (("v1", "v2", "v3"), "v3", "v2")],
)
def test_the_stack_says_who_answers_and_who_is_behind(
    stack: tuple[str, ...], incumbent: str | None, previous: str | None
) -> None:
    roles = Roles(stack=stack)
    assert (roles.incumbent, roles.previous) == (incumbent, previous)


def test_each_phase_of_a_trial_has_its_own_salt() -> None:
    trial = Trial("t1", "v2", "v1", "split", 0, phase=3)
    assert trial.salt == "t1/3"


def test_a_signature_names_its_columns_and_knows_whether_it_classifies() -> None:
    columns = (Column("hour", "integer"), Column("carrier", "string"))
    assert Signature(columns, "binary", (0, 1)).names == ("hour", "carrier")
    assert [Signature(columns, kind).classifies for kind in ("binary", "multiclass", "regression", "forecast")] == [
        True, True, False, False,
    ]  # fmt: skip


def test_only_a_promotion_promotes() -> None:
    assert Decision("promote", "v2", "better", action="Promoted").promotes
    assert not Decision("promote", "v2", "better", action=None).promotes
