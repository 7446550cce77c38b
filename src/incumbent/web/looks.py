"""What did the looks at a trial find, in words and in numbers that a page or a picture can show?

In: evidence of step 3, of this release or of an earlier one. Out: plain values; what an old look does not know is left
out. Reads no store, judges nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from incumbent.records import Evidence, Json, Micros
from incumbent.web import words

ARMS = ("challenger", "incumbent", "called")
STATES = {
    "harm": ("✗", "harm is shown"),
    "cleared": ("✓", "shown harmless"),
    "undecided": ("○", "not decided yet"),
}
"""A sign and words for each state of a guardrail: nobody has to tell colours apart."""
SUSPECTS = {**STATES, "cleared": ("✓", "not suspect"), "undecided": ("○", "suspect")}
"""What has no interval is a check of the trial itself."""
HEADLINES = {
    "promote": "The challenger is shown better",
    "roll_back": "The challenger is shown to do harm: the incumbent stays",
    "invalid": "Invalid: the arms cannot be compared, and the incumbent stays",
    "stop": "Over without a winner: the incumbent stays",
    "stopped": "Stopped by hand: the incumbent stays",
    "continue": "Not decided yet",
}
SPLIT_SUSPECT, SPLIT_INVALID, BOTH_ARMS = 0.01, 0.001, 0.01  # as in steps.live.verdict, which no page may import

Numbers = Mapping[str, Any]


def by_trial(found: Iterable[Evidence]) -> dict[str, list[Evidence]]:
    """The looks at each trial, the oldest first; the watch over a replaced version is none."""
    each: dict[str, list[Evidence]] = {}
    for one in found:
        name = one.numbers.get("trial")
        if one.step == "live" and name is not None and one.numbers.get("mode") in ("shadow", "split"):
            each.setdefault(name, []).append(one)
    return each


def of_phase(looks: Sequence[Evidence]) -> list[Evidence]:
    """The looks at the phase of the last one: what was seen before it has left the decision."""
    last = looks[-1].numbers.get("phase") if looks else None
    return [one for one in looks if one.numbers.get("phase") == last]


def points(looks: Sequence[Evidence]) -> list[tuple[Micros, float | None, float | None, float | None]]:
    """(at, gain, lower, upper) of each look at the last phase. Looks of earlier releases carry their own past."""
    mine = of_phase(looks)
    if mine and mine[-1].numbers.get("series"):
        return [(at, gain, lower, upper) for at, gain, lower, upper in mine[-1].numbers["series"]]
    return [(one.at, one.numbers.get("estimate"), one.numbers.get("lower"), one.numbers.get("upper")) for one in mine]


def guardrails(numbers: Numbers) -> list[dict[str, Json]]:
    """Each guardrail with its state, its interval and what it may be at worst (`limit`).

    `kind` is "rate" (an upper bound of the challenger's rate, harmless up to `limit`), "gain" (bounds of a gain,
    harmless above `limit`, which is below 0 or 0) or "other" (no interval).
    """
    return [_guardrail(one) for one in numbers.get("guardrails") or _earlier(numbers)]


def split(numbers: Numbers) -> dict[str, Json] | None:
    """The arms' shares of the units, expected and seen, and what the check says of them. None in a shadow."""
    found = numbers.get("split")
    if not found:
        return None
    shares = found.get("shares") or [found["share"], 1.0 - found["share"]]
    arms = found.get("arms") or ARMS[: len(shares)]
    invalid = found["p"] <= SPLIT_INVALID or found["both_arms"] > BOTH_ARMS
    state = "invalid" if invalid else "suspect" if found["p"] < SPLIT_SUSPECT else "clean"
    return {
        "state": state,
        "p": found["p"],
        "both_arms": found["both_arms"],
        "arms": [
            {
                "arm": arm,
                "expected": shares[place],
                "units": found["units"][place],
                "seen": _share(found["units"], place),
                "labelled_units": found["labelled_units"][place],
                "seen_labelled": _share(found["labelled_units"], place),
            }
            for place, arm in enumerate(arms)
        ],
    }


def arms(numbers: Numbers) -> list[dict[str, Json]]:
    """Exposures, labels and losses by arm, a row each; rows that a look does not have are left out."""
    kind = str(numbers.get("n_kind", "units"))
    metric = numbers.get("metric", "loss")
    named: list[tuple[str, str, bool]] = [
        (kind, "n", False),
        ("answers", "rows", False),
        ("answers whose window is closed", "matured", False),
        ("with a label", "labelled", False),
        ("share with a label", "coverage", True),
        ("labels that came too late", "late", False),
        ("mean row loss", "loss", False),
    ]
    if numbers.get("value") != numbers.get("loss"):
        named.append((f"mean {metric}", "value", False))
    rows = [_row(name, numbers.get(key), as_percent) for name, key, as_percent in named]
    if "matured" not in numbers:  # an earlier release counted rows once their window was closed
        rows = [row and {**row, "name": row["name"].replace("answers", "answers, window closed")} for row in rows]
    return [row for row in rows if row is not None]


def third_arm(numbers: Numbers) -> list[tuple[str, Json]]:
    """What was found in the third arm, named, in an order that can be read. Empty without one."""
    found = numbers.get("called") or {}
    named = {"estimate": "gain", "lower": "gain, at least", "upper": "gain, at most"}
    first = ["challenger", "called", "incumbent", *named]
    order = [*(key for key in first if key in found), *(key for key in found if key not in first)]
    told = [(named.get(key, words.phrase(key)), found[key]) for key in order]
    return [(name, value) for name, value in told if value is None or isinstance(value, int | float | str)]


def measures(numbers: Numbers) -> list[dict[str, Json]]:
    """The outcomes that are compared beside each other, the one that decides first."""
    found = numbers.get("measures") or {}
    roles = {"primary": 0, "guardrail": 1, "shown": 2}
    return [
        {"name": name, **one}
        for name, one in sorted(found.items(), key=lambda pair: roles.get(pair[1].get("role", "shown"), 3))
    ]


def lines(numbers: Numbers, min_gain: float = 0.0, smallest_effect: float = 0.0) -> dict[str, float]:
    """Above which gain it is promoted, below which it is stopped; what a look does not know comes from the settings."""
    found = numbers.get("lines") or {}
    return {"promote": found.get("promote", min_gain) or 0.0, "stop": found.get("stop", smallest_effect) or 0.0}


def primary(numbers: Numbers) -> str:
    """What decides: the metric, or the measure that was declared to."""
    name = numbers.get("primary") or "loss"
    return str(numbers.get("metric", "loss") if name in ("loss", "") else name)


def _guardrail(one: Numbers) -> dict[str, Json]:
    state = "harm" if one.get("harm") else "cleared" if one.get("cleared") else "undecided"
    kind = _kind(one)
    sign, said = (SUSPECTS if kind == "other" else STATES)[state]
    limit = one.get("tolerated") if kind == "rate" else -(one.get("margin") or 0.0) if kind == "gain" else None
    return {
        "name": one.get("name", ""),
        "state": state,
        "sign": sign,
        "state_said": said,
        "kind": kind,
        "limit": limit,
        "challenger": one.get("challenger"),
        "incumbent": one.get("incumbent"),
        "lower": one.get("lower"),
        "upper": one.get("upper"),
        "estimate": one.get("estimate"),
        "unit": one.get("unit", ""),
        "events": one.get("events"),
        "p": one.get("p"),
        "said": one.get("said", ""),
        "found": _found(one, kind, limit),
    }


def _kind(one: Numbers) -> str:
    if one.get("tolerated") is not None or "upper_rate" in one:
        return "rate"
    return "gain" if one.get("margin") is not None else "other"


def _found(one: Numbers, kind: str, limit: float | None) -> str:
    """What was found, against what is allowed, in words."""
    challenger, incumbent = one.get("challenger"), one.get("incumbent")
    if kind == "rate":
        rates = [f"{words.percent(challenger)} of the challenger's answers"] if challenger is not None else []
        rates += [f"{words.percent(incumbent)} of the incumbent's"] if incumbent is not None else []
        if one.get("upper") is not None:
            whose = "the challenger's" if rates else "the challenger's answers"
            rates.append(f"at most {words.percent(one['upper'])} of {whose} in the long run")
        allowed = [f"allowed: {words.percent(limit)}"] if limit is not None else []
        ratio = one.get("margin")
        allowed += [f"or less than {ratio:g} times the incumbent's rate"] if ratio else []
        return "; ".join([", ".join(rates), *([", ".join(allowed)] if allowed else [])]).strip("; ")
    if kind == "gain":
        margin = f"a loss of {words.number(-limit) if limit else 0} is allowed"
        lower, upper = one.get("lower"), one.get("upper")
        if lower is None and upper is None:
            return f"no bound yet; {margin}"
        least = f"at least {words.signed(lower)}" if lower is not None else ""
        most = f"at most {words.signed(upper)}" if upper is not None else ""
        return f"the gain is {' and '.join(part for part in (least, most) if part)}; {margin}"
    if challenger is not None and incumbent is not None:
        said = f"{words.percent(challenger)} of the challenger's answers, {words.percent(incumbent)} of the incumbent's"
        return f"{said}; p = {one['p']:.2g}" if one.get("p") is not None else said
    return str(one.get("said", ""))


def _earlier(numbers: Numbers) -> list[Numbers]:
    """Failed answers, as looks of earlier releases have them: counts, and a bound of the challenger's rate."""
    found = numbers.get("failures")
    if not found or "cleared" not in found:
        return []
    events = {arm: found.get(arm) for arm in ARMS if found.get(arm) is not None}
    return [{
        "name": "errors", "harm": found["harm"], "cleared": found["cleared"], "upper": found.get("upper_rate"),
        "lower": found.get("lower_rate"), "upper_rate": found.get("upper_rate"), "unit": "share of failed answers",
        "events": events,
    }]  # fmt: skip


def _row(name: str, of: Json, as_percent: bool) -> dict[str, Json] | None:
    if not isinstance(of, Mapping):
        return None
    return {"name": name, **{arm: of.get(arm) for arm in ARMS if arm in of}, "as_percent": as_percent}


def _share(counts: Sequence[int], place: int) -> float | None:
    return counts[place] / sum(counts) if sum(counts) else None
