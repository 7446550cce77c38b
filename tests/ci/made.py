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
        rule("no_worse_than (season = winter)", "hold", slice="season = winter", threshold=-0.01,
             gain=-0.05, lower=-0.1),
        rule("no_worse_than (season = summer)", "not_enough_data", slice="season = summer", threshold=-0.01,
             gain=0.05, lower=None, rows_needed=1234),
        rule("no_worse_than (squared_error)", "ship", metric="squared_error", threshold=-1.0, gain=3.0, lower=0.5),
        rule("min_rows (season = fall)", "not_enough_data", slice="season = fall", threshold=200.0, rows_needed=200),
        rule("latency_p99_ms", "ship", threshold=5.0),
    ],
)  # fmt: skip
INVALID = outcome("hold", [rule("valid", "hold", "never ships without valid losses")],
                  gain=None, lower=None, upper=None)  # fmt: skip
DRY = outcome("hold", [rule("better_by", "hold")], mode="dry_run")
OFF = outcome("off", [], mode="off", gain=None, lower=None, upper=None)
ERROR = failed(DataError("there is no incumbent: run `incumbent baseline` first."), "seattle", AT)
NO_ROWS = failed(NotEnoughData("the split leaves 3 rows, expected more"), "seattle", AT)

ALL = {"ship": SHIP, "hold": HOLD, "few": FEW, "sliced": SLICED, "invalid": INVALID, "dry": DRY, "off": OFF,
       "error": ERROR, "no rows": NO_ROWS}  # fmt: skip
