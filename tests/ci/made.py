"""Outcomes of the gate, by verdict, as the tests of each output use them. Their values are made up."""

from typing import Any

from incumbent.ci.outcome import Outcome, failed
from incumbent.config import Gate
from incumbent.errors import DataError, NotEnoughData
from incumbent.records import Evidence, Json, Micros

AT: Micros = 1_795_549_741_264_202  # 24 November 2026, 19:49:01 UTC
NASTY = "a|b <b>bold</b> `code` @everybody\x00 ]]> & \N{SNOWMAN}"
NUMBERS: dict[str, Json] = {
    "loss_reference": 2.24, "loss_candidate": 2.142, "gain": 0.0975, "lower": 0.0313, "upper": 0.1637,
    "standard_error": 0.038, "n_rows": 365, "n_blocks": 18, "alpha": 0.05, "method": "blocks, t", "looks": 1,
    "rows_needed": None, "mode": "enforce",
}  # fmt: skip


def rule(name: str, verdict: str, sentence: str = "gain 0.0975, at least 0.0313", **more: Any) -> dict[str, Json]:
    return {"rule": name, "verdict": verdict, "sentence": sentence, "rows_needed": None, **more}


def outcome(verdict: str, rules: list[dict[str, Json]], gate: Gate | None = None, **numbers: Json) -> Outcome:
    evidence = Evidence(
        "gate", "v7", verdict, f"{verdict.replace('_', ' ')}: v7 against v1: as the rules say.", AT, "v1",
        {**NUMBERS, "rules": rules, **numbers},
    )  # fmt: skip
    return Outcome("seattle", AT, evidence, metric="absolute_error", gate=gate or Gate(), version="v7")


SHIP = outcome("ship", [rule("better_by", "ship")])
HOLD = outcome("hold", [rule("better_by", "ship"), rule("suspicious_if_better_by", "hold", NASTY)])
FEW = outcome("not_enough_data", [rule("better_by", "not_enough_data", rows_needed=2500)], rows_needed=2500)
SLICED = outcome(
    "hold",
    [
        rule("better_by", "ship", threshold=0.02),
        rule("no_worse_than", "hold", slice="season=winter", threshold=-0.01),
        rule("no_worse_than", "not_enough_data", slice="season=summer", threshold=-0.01, rows_needed=1234),
    ],
    slices=[
        {"slice": "season=winter", "verdict": "hold", "gain": -0.05, "lower": -0.1, "upper": 0.02},
        {"slice": "season=summer", "verdict": "not_enough_data", "gain": 0.05, "lower": None, "upper": None},
    ],
)
INVALID = outcome("hold", [rule("valid", "hold", "never ships without valid losses")],
                  gain=None, lower=None, upper=None)  # fmt: skip
ERROR = failed(DataError("there is no incumbent: run `incumbent baseline` first."), "seattle", AT)
NO_ROWS = failed(NotEnoughData("the split leaves 3 rows, expected more"), "seattle", AT)

ALL = {"ship": SHIP, "hold": HOLD, "few": FEW, "sliced": SLICED, "invalid": INVALID, "error": ERROR, "no rows": NO_ROWS}
