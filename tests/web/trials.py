"""Trials as the ledger tells them, for tests of pages, pictures and reports, and to look at (`python trials.py FOLDER`
makes a project of each kind there, to serve).

Their numbers are made up, but have the shape that `steps.live.trial` gives them.
"""

import json
import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from incumbent import charts
from incumbent import config as configuration
from incumbent.config import Live
from incumbent.loop import promote
from incumbent.loop.fold import roles as fold
from incumbent.records import DAY, SECOND, Column, Evidence, Json, Micros, Signature, Trial, Version
from incumbent.stats import metrics
from incumbent.steps.live import looks
from incumbent.storage.base import Ledger
from incumbent.storage.opening import Facts, open_facts
from incumbent.storage.pictures import Pictures

MAY: Micros = 1367380800 * SECOND  # 1 May 2013, midnight in New York
RULES = looks.settings(Trial("t1", "v3", "v2", "split", MAY), Live(), metrics.get("brier", "binary"))
SETTINGS = looks.digest(RULES)
KINDS = ("split", "shadow", "ended", "invalid", "harm", "none")


def guardrail(name: str, state: str, **more: Json) -> dict[str, Json]:
    """One guardrail; rates unless more is said."""
    told: dict[str, Json] = {
        "name": name, "harm": state == "harm", "cleared": state == "cleared", "said": f"{name} shown not harmful",
        "unit": "share of answers failed", "challenger": 0.0012, "incumbent": 0.001, "lower": None, "upper": 0.0041,
        "margin": 2.0, "tolerated": 0.005, "events": {"challenger": 5, "incumbent": 4},
    }  # fmt: skip
    return told | more


def numbers(trial: str, mode: str, n: int, *, third_arm: bool = False, invalid: bool = False) -> dict[str, Json]:
    """What the n-th daily look at a trial knows."""
    challenger, incumbent = 4_210 * n // 4, 4_333 * n // 4
    if invalid:
        incumbent = challenger * 54 // 46
    arms = {"challenger": challenger, "incumbent": incumbent, **({"called": 4_260 * n // 4} if third_arm else {})}
    shares = [1 / 3] * 3 if third_arm else [0.5, 0.5]
    units = {arm: rows // 5 for arm, rows in arms.items()}
    labelled = {arm: int(rows * 0.93) for arm, rows in arms.items()}
    gain, width = 0.004 + 0.002 / n, 0.02 / math.sqrt(n)
    late = guardrail(
        "latency", "undecided", unit="share of answers late", challenger=0.0112, incumbent=0.0094, upper=0.0163,
        tolerated=0.01, budget_ms=20.0, said="latency shown not harmful (a rate of at most 1 %)",
        events={"challenger": 47, "incumbent": 40},
    )  # fmt: skip
    money = guardrail(
        "revenue", "undecided", unit="revenue", challenger=3.11, incumbent=3.16, estimate=-0.05, lower=-0.41,
        upper=0.31, margin=0.2, tolerated=None, events=None, n=1000,
        said="revenue shown not harmful (a loss of at most 0.2)",
    )  # fmt: skip
    labels = guardrail(
        "labels", "cleared", unit="share of answers with a label", challenger=0.974, incumbent=0.971, upper=None,
        margin=None, tolerated=None, events=None, p=0.4, said="labels that come from both arms alike",
    )  # fmt: skip
    found: dict[str, Json] = {
        "trial": trial, "phase": 1, "mode": mode, "metric": "brier", "primary": "loss", "days": n, "enrolled": 0.5,
        "enrolled_since": MAY + DAY, "looks": 10 * n,
        "missing": ["410 labels more of the challenger, about 2 days at the present rate"] if n < 10 else [],
        "n": {arm: units[arm] for arm in arms} if mode == "split" else {"challenger": 4 * n, "incumbent": 4 * n},
        "n_kind": "units" if mode == "split" else "blocks",
        "rows": arms, "matured": {arm: int(rows * 0.96) for arm, rows in arms.items()}, "labelled": labelled,
        "coverage": dict.fromkeys(arms, 0.97), "late": dict.fromkeys(arms, 31 + n),
        "loss": {"challenger": 0.1563 - gain, "incumbent": 0.1563, **({"called": 0.1561} if third_arm else {})},
        "value": {"challenger": 0.1563 - gain, "incumbent": 0.1563, **({"called": 0.1561} if third_arm else {})},
        "estimate": gain, "lower": gain - width, "upper": gain + width, "harm_upper": gain + 1.2 * width,
        "n_star": 4000.0, "n_max": 16_000, "lines": {"promote": 0.0005, "stop": 0.002},
        "guardrails": [guardrail("errors", "cleared"), late, money, labels],
        "measures": {
            "loss": {"role": "primary", "better": "smaller", "of": "mean", "challenger": 0.1563 - gain,
                     "incumbent": 0.1563, "estimate": gain, "lower": gain - width, "upper": gain + width, "n": 1700},
            "revenue": {"role": "guardrail", "better": "larger", "of": "sum", "challenger": 3.11, "incumbent": 3.16,
                        "estimate": -0.05, "lower": -0.41, "upper": 0.31, "n": 1000},
        },
        "called": None, "cuped": {"share_of_variance_removed": 0.31} if mode == "split" else None,
        "mark": {"now": MAY + (n + 1) * DAY, "predictions": 9_100 * n, "outcomes": 8_800 * n}, "settings": SETTINGS,
    }  # fmt: skip
    if mode == "split":
        found["split"] = {
            "arms": list(arms), "units": [units[arm] for arm in arms], "shares": shares,
            "labelled_units": [int(units[arm] * 0.97) for arm in arms], "p": 0.00004 if invalid else 0.62,
            "log_e": [10.1 if invalid else -2.0, -2.0], "both_arms": 0.0,
        }  # fmt: skip
        if third_arm:
            found["called"] = {
                "challenger": 0.156, "incumbent": 0.1563, "estimate": 0.0002, "lower": -0.003, "upper": 0.0034,
            }  # fmt: skip
    else:
        found["guardrails"] = [
            guardrail("errors", "cleared", unit="share of shadow calls", incumbent=None, lower=0.0, margin=None)
        ]
    return found


def look(trial: str, mode: str, n: int, verdict: str = "continue", why: str = "", **how: Any) -> Evidence:
    """The n-th daily look at the trial of v3 against v2."""
    why = why or "needs a gain that is shown above 0.0005, revenue shown not harmful (a loss of at most 0.2)"
    said = f"v3 against v2 ({mode}, look {10 * n}): {why}."
    return Evidence("live", "v3", verdict, said, MAY + (n + 1) * DAY, "v2", numbers(trial, mode, n, **how))


def tell(ledger: Ledger, kind: str) -> str:
    """Run a trial of v3 against v2 on a ledger on which both are registered; its name.

    split: one with three arms runs. shadow: one runs. ended: a shadow was promoted to a split, which was promoted.
    invalid, harm: a split ended so. none: nothing.
    """
    if kind == "none":
        return ""
    mode: Any = "shadow" if kind == "shadow" else "split"
    if kind == "ended":
        _start(ledger, "shadow", MAY - 20 * DAY)
        found = replace(look(_name(ledger), "shadow", 12, "promote", "the gain is at least 0.0012"), at=MAY - 8 * DAY)
        promote.decide_trial(
            ledger, _roles(ledger), "promote", at=found.at, actor="tick", reason=found.sentence, evidence=found
        )
    _start(ledger, mode, MAY + DAY)
    trial = _name(ledger)
    how: dict[str, Any] = {"third_arm": kind == "split", "invalid": kind == "invalid"}
    for n in range(1, 10):
        promote.record(ledger, look(trial, mode, n, **how), actor="tick")
    if mode == "split":
        promote.raise_enrolment(
            ledger, _roles(ledger), 0.5, at=MAY + 4 * DAY, actor="tick", reason="no harm shown: 50 % may take part"
        )
    _end(ledger, kind, trial, how)
    return trial


def _end(ledger: Ledger, kind: str, trial: str, how: dict[str, Any]) -> None:
    said = {
        "invalid": ("invalid", "the arms do not have their shares of the units (p = 4e-05)"),
        "harm": ("roll_back", "errors: more of its answers are shown failed (2.1 %, the incumbent's 0.1 %)"),
        "ended": ("promote", "the gain is at least 0.0021"),
    }
    if kind not in said:
        return
    verdict, why = said[kind]
    last = look(trial, "split", 10, verdict, why, **how)
    if kind == "harm":
        bad = guardrail("errors", "harm", challenger=0.021, upper=0.029, events={"challenger": 221, "incumbent": 9})
        last = replace(last, numbers={**last.numbers, "guardrails": [bad, *last.numbers["guardrails"][1:]]})
    if verdict == "promote":
        promote.promote(
            ledger, _roles(ledger), "v3", at=last.at, actor="tick", reason=last.sentence, evidence=last
        )
    else:
        promote.decide_trial(
            ledger, _roles(ledger), verdict, at=last.at, actor="tick", reason=last.sentence, evidence=last
        )


def _start(ledger: Ledger, mode: Any, at: Micros) -> None:
    promote.start_trial(
        ledger, _roles(ledger), "v3", at=at, actor="tick", mode=mode, reason="the gate says ship",
        enrolled=1.0 if mode == "shadow" else 0.1,
    )  # fmt: skip


def _roles(ledger: Ledger) -> Any:
    return fold(ledger.events())


def _name(ledger: Ledger) -> str:
    return str(_roles(ledger).trial.name)


# --- projects to look at ---

TOML = """
[task]
name = "flight-delay"
kind = "binary"
target = "late"
metric = "brier"
unit = "tailnum"
timezone = "America/New_York"
"""


def write(folder: Path, kind: str) -> Facts:
    """A project with three versions and a trial of that kind, its pictures drawn."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "incumbent.toml").write_text(TOML)
    config = configuration.load(folder)
    facts = open_facts(config)
    signature = Signature((Column("carrier", "string"), Column("hour", "integer")), "binary", (False, True))
    for name, said in (("v1", "prior of the classes"), ("v2", "boosted trees"), ("v3", "boosted trees, deeper")):
        digest = facts.blobs.put(json.dumps({"parts": {}}).encode())
        made = Version(name, "rule" if name == "v1" else "sklearn", digest, signature, description=said, n_rows=80_789)
        promote.register(facts.ledger, _roles(facts.ledger), made, at=MAY - 40 * DAY, actor="tick")
    for name in ("v1", "v2"):
        promote.promote(
            facts.ledger, _roles(facts.ledger), name, at=MAY - 30 * DAY, actor="tick", reason="it ships"
        )
    facts.blobs.put(RULES)
    tell(facts.ledger, kind)
    drawn = charts.dashboard(config, facts.ledger.events(), [])
    Pictures(config.store_path, facts.blobs).put_all(drawn, MAY + 11 * DAY)
    return facts


if __name__ == "__main__":
    for one in KINDS:
        write(Path(sys.argv[1]) / one, one).close()
