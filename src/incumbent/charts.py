"""What does the evidence look like? Evidence and records in, Altair charts out; `drawing` makes bytes of them.

One definition serves page, report and notebook, light and dark. Charts compute no statistic: sums, bounds and verdicts
come from where they were made. Axes carry units; a day is a day of the task's zone.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, tzinfo
from functools import partial
from types import MappingProxyType
from typing import Protocol

import altair as alt

from incumbent.charts_live import guardrails as guardrails
from incumbent.charts_live import has_guardrails as has_guardrails
from incumbent.charts_live import segments as segments
from incumbent.charts_live import trial as trial
from incumbent.config import Config
from incumbent.drawing import (
    Axis,
    Chart,
    Row,
    both,
    chart_of,
    colour_of,
    days_axis,
    level_line,
    titled,
    upright_line,
    wall_clock,
)
from incumbent.loop.fold import evidence_from_dict
from incumbent.loop.fold import roles as fold
from incumbent.records import DAY, Event, Evidence, Micros, Roles
from incumbent.stats import metrics
from incumbent.stats.metrics import UNITS_PER_ONE
from incumbent.storage.base import PeriodSum
from incumbent.web.looks import by_trial, points

LOG_FROM = 20.0
"""A latency scale is logarithmic when the slowest is this many times the fastest."""

POLICIES = ("incumbent", "challenger", "baseline", "untouched", "good", "bad")
MARKS = {
    "RetrainRefused": "retrain refused",
    "RolledBack": "taken back",
    "TrialDecided": "trial ended without a winner",
    "AlarmRaised": "alarm",
}
SHAPES = ["cross", "triangle-down", "diamond", "triangle-up"]

class MonthRow(Protocol):
    """A month of `rehearse.compare`: its name ("2013-04") and the mean loss of each policy."""

    @property
    def name(self) -> str: ...
    @property
    def loss(self) -> Mapping[str, float]: ...


class GainRow(Protocol):
    """A gain, its one-sided bounds (None: there is none; a lower one may be alone), a verdict, thresholds by rule."""

    @property
    def label(self) -> str: ...
    @property
    def verdict(self) -> str: ...
    @property
    def gain(self) -> float: ...
    @property
    def lower(self) -> float | None: ...
    @property
    def upper(self) -> float | None: ...
    @property
    def thresholds(self) -> Sequence[tuple[str, float]]: ...


@dataclass(frozen=True, slots=True)
class Rung:
    """One step of the speed ladder: single-row latency in milliseconds."""

    name: str
    p50_ms: float
    p99_ms: float


# --- what is drawn when


def dashboard(
    config: Config,
    events: Sequence[Event],
    weeks: Sequence[PeriodSum],
    drawn: Mapping[str, Micros] = MappingProxyType({}),
) -> dict[str, bytes]:
    """Every picture of the pages that there are facts for, as `<name>.light` and `<name>.dark`.

    `events` is the whole ledger, `weeks` are `log.period_sums(7 * DAY, …)` with `offset` 0. The result is what
    `storage.pictures.Pictures.put_all` takes. About 40 ms a picture: draw when something has changed. `drawn` says for
    what time a picture was drawn before: those of a trial are drawn again after a new look at it.
    """
    found = [evidence_from_dict(e.data["evidence"], e.measured) for e in events if e.data.get("evidence")]
    charts: dict[str, Chart] = {}
    if any(event.type == "Promoted" for event in events):
        charts["incumbents"] = incumbents(events, config.zone)
    charts |= _trials(config, found, drawn)
    timed = rungs(found)
    if timed:
        charts["latency"] = latency(timed, config.plan.latency_budget_ms)
    naive = latest_rules(found)
    if any(week.labelled for week in weeks):
        charts["loss"] = _served(config, weeks, naive)
    if naive:
        charts["baseline"] = baselines(naive)
    against = [one for one in found if one.step == "baseline" and one.numbers.get("people")]
    if against:
        charts["people"] = people(against[-1])
    expected = [one for one in found if one.step == "expect"]
    if expected and expected[-1].numbers["curve"]["points"]:
        charts["expect"] = expectation(expected[-1])
    return {f"{name}.{theme}": drawn for name, chart in charts.items() for theme, drawn in both(chart).items()}


def _served(config: Config, weeks: Sequence[PeriodSum], naive: Sequence[Evidence]) -> Chart:
    """The metric by week; where a mean row loss does not say it (r2), that loss itself."""
    metric = metrics.get(config.task.metric, config.task.kind)
    said, key = (metric.name, "value") if metric.of_mean_loss else (f"row loss of {metric.name}", "mean_loss")
    best = next((one.numbers.get(key) for one in naive if one.verdict == "best"), None)
    return loss(weeks, said, config.zone, baseline=best, of_mean=metric.of_mean_loss or float)


def _trials(config: Config, found: Sequence[Evidence], drawn: Mapping[str, Micros]) -> dict[str, Chart]:
    """Two pictures a trial, and the last one's gain for the dashboard."""
    charts: dict[str, Chart] = {}
    live = config.live
    each = {name: looks for name, looks in by_trial(found).items() if _told(looks)}
    for name, looks in each.items():
        gain = partial(trial, looks, live.min_gain, config.zone, smallest_effect=live.smallest_effect)
        new = looks[-1].at > drawn.get(f"trial-{name}.light", -1)
        if new:
            charts[f"trial-{name}"] = gain()
        if new and has_guardrails(looks[-1]):
            charts[f"guardrails-{name}"] = guardrails(looks[-1])
        if name == list(each)[-1] and len(points(looks)) > 1:
            charts["trial"] = charts.get(f"trial-{name}") or gain()
    return charts


def _told(looks: Sequence[Evidence]) -> bool:
    return any(gain is not None for _, gain, _, _ in points(looks))


def rungs(found: Sequence[Evidence]) -> list[Rung]:
    """Who was timed on single rows, the last timing of each: versions, teachers and their students."""
    timed: dict[str, Rung] = {}
    for one in found:
        if one.step != "speed":
            continue
        each = {one.subject: one.measured} if "p99_ms" in one.measured else one.measured
        timed |= {name: Rung(name, of["p50_ms"], of["p99_ms"]) for name, of in each.items() if isinstance(of, Mapping)}
    return list(timed.values())


def latest_rules(found: Sequence[Evidence]) -> list[Evidence]:
    """The evidence of the naive rules that were judged last, together."""
    naive = [one for one in found if one.step == "baseline" and "rank" in one.numbers]
    return [one for one in naive if one.at == naive[-1].at]


# --- the charts


def loss(
    weeks: Sequence[PeriodSum],
    metric: str,
    zone: tzinfo = UTC,
    *,
    baseline: float | None = None,
    of_mean: Callable[[float], float] = float,
    period: Micros = 7 * DAY,
) -> Chart:
    """The metric of what was served by week, and the baseline's held-out value where it is known.

    `of_mean` makes the metric's value from a mean row loss (`Metric.of_mean_loss`).
    """
    rows: list[Row] = [
        {
            "when": wall_clock(week.period * period, zone),
            "value": of_mean(week.loss / UNITS_PER_ONE / week.labelled),
        }
        for week in weeks
        if week.labelled
    ]
    y: Axis = {"title": f"{metric} of served answers", "scale": alt.Scale(zero=False)}
    base = chart_of(rows).encode(x=days_axis("when", zone, "week from"), y=alt.Y("value:Q", **y))
    layers: list[alt.Chart] = [
        base.mark_line(color=colour_of("incumbent"), strokeWidth=2),
        base.mark_point(color=colour_of("incumbent"), filled=True, size=36),
    ]
    if baseline is not None:
        layers += level_line(baseline, "baseline on held-out rows", "baseline", y)
    return titled(layers, f"{metric} by week")


def baselines(rules: Sequence[Evidence], *, scored: float | None = None) -> Chart:
    """The naive rules with their held-out values and 95 % intervals, the best on top; what is only listed or a
    reference in another colour; the perfect score, and a score that somebody has, as lines."""
    ordered = sorted(rules, key=lambda one: int(one.numbers["rank"]))
    rows: list[Row] = [
        {"rule": _named(one), "part": _PARTS.get(one.verdict, _PARTS["beaten"])}
        | {key: one.numbers[key] for key in ("value", "lower", "upper")}
        for one in ordered
    ]
    metric, perfect = ordered[0].numbers["metric"], ordered[0].numbers.get("perfect")
    x: Axis = {"title": f"{metric} on held-out rows, with 95 % interval", "scale": alt.Scale(zero=False, nice=True)}
    room = alt.Scale(type="point", padding=1)  # below the last rule, for the names of the lines
    y = alt.Y("rule:N", sort=[row["rule"] for row in rows], title=None, axis=alt.Axis(labelLimit=340), scale=room)
    found = list(dict.fromkeys(str(row["part"]) for row in rows))
    scale = alt.Scale(domain=found, range=[colour_of(_PART_COLOURS[part]) for part in found])
    legend = alt.Legend(title=None, orient="top", labelLimit=300) if len(found) > 1 else None
    colour = alt.Color("part:N", scale=scale, legend=legend)
    bounded = chart_of([row for row in rows if row["lower"] is not None and row["upper"] is not None])
    layers: list[alt.Chart] = [
        bounded.mark_rule(strokeWidth=2).encode(x=alt.X("lower:Q", **x), x2="upper:Q", y=y, color=colour),
        chart_of(rows).mark_point(filled=True, size=70).encode(x=alt.X("value:Q", **x), y=y, color=colour),
    ]
    if perfect is not None:
        most = perfect >= max(row["value"] for row in rows)
        layers += upright_line(float(perfect), f"perfect: {perfect:g}", "good", x, 9, at_left=most)
    if scored is not None:
        largest = scored >= max(row["value"] for row in rows)
        layers += upright_line(scored, f"yours: {scored:.4g}", "untouched", x, 23, at_left=largest)
    return titled(layers, "What must be beaten, the best on top", height=34 * (len(rows) + 1))


_PARTS = {
    "best": "naive rule", "beaten": "naive rule", "listed": "small model, for comparison",
    "reference": "reference, not served", "existing": "in place, may answer",
}  # fmt: skip
_PART_COLOURS = {
    "naive rule": "incumbent", "small model, for comparison": "baseline", "reference, not served": "challenger",
    "in place, may answer": "good",
}  # fmt: skip


def _named(evidence: Evidence) -> str:
    """A rule by its name; what is a version with that of the version, and a system in place with its kind."""
    version, kind = evidence.numbers.get("version"), evidence.numbers.get("kind")
    shown = f" ({kind})" if evidence.verdict in ("existing", "reference") and kind not in (None, "reference") else ""
    return f"{version} {evidence.subject}{shown}" if version else evidence.subject


def expectation(evidence: Evidence) -> Chart:
    """The quick model's held-out value by training rows, drawn on by its law, between floor, ceiling and goal."""
    numbers, curve = evidence.numbers, evidence.numbers["curve"]
    points: list[Row] = [{**one, "low": one["along"][0], "high": one["along"][1]} for one in curve["points"]]
    more: list[Row] = [{**one, "said": f"{one['times']} ×"} for one in curve["more"]]
    levels = [
        (f"floor: {numbers['floor']['name']}", numbers["floor"]["value"], "baseline"),
        *((f"people: {one['name']}", one["value"], "untouched") for one in numbers["people"]),
        ("ceiling: equal rows differ", numbers["noise"]["value"], "good"),
        ("goal", numbers["goal"], "challenger"),
    ]
    side = "lower" if numbers["lower_is_better"] else "higher"
    y: Axis = {"title": f"{numbers['metric']} on held-out rows, {side} is better", "scale": alt.Scale(zero=False)}
    axis = alt.Axis(format="~s", tickCount=6, grid=False)
    x: Axis = {"title": "training rows (log scale)", "scale": alt.Scale(type="log", nice=False), "axis": axis}
    rows = alt.X("n_rows:Q", **x)
    line, marks = chart_of(curve["line"]).encode(x=rows), chart_of(points).encode(x=rows)
    layers: list[alt.Chart] = [
        line.mark_area(fill=colour_of("incumbent"), opacity=0.16).encode(y=alt.Y("lower:Q", **y), y2="upper:Q"),
        line.mark_line(color=colour_of("incumbent"), strokeWidth=1.5).encode(y=alt.Y("value:Q", **y)),
        marks.mark_rule(color=colour_of("incumbent")).encode(y=alt.Y("low:Q", **y), y2="high:Q"),
        marks.mark_point(color=colour_of("incumbent"), filled=True, size=55, opacity=1).encode(y=alt.Y("value:Q", **y)),
    ]
    beyond = chart_of(more).encode(x=rows, y=alt.Y("value:Q", **y))
    if more:
        hollow = beyond.mark_point(stroke=colour_of("incumbent"), fill=colour_of("ground"), size=55, opacity=1)
        layers += [hollow, beyond.mark_text(color=colour_of("ink"), dy=-14, align="right").encode(text="said:N")]
    for said, value, colour in levels:
        if value is not None:
            layers += level_line(value, f"{said}, {value:.4g}", colour, y, left=colour != "baseline")
    return titled(layers, "What a quick model learns from more rows", height=300)


def planned(evidence: Evidence) -> Chart:
    """The smallest gain that a trial shows with a power of 80 %, by its days: split and shadow, and the gain wanted.

    A shadow whose correlation is assumed is a band. Where nothing can be shown in the days drawn, only the axes are.
    """
    plan = evidence.numbers["plan"]
    rows: list[Row] = [dict(zip(("days", "split", "low", "high"), point, strict=True)) for point in plan["curve"]]
    assumed = plan["pairs"]["source"] == "assumed"
    wanted = plan["effect"]["gain"] if plan["effect"] else None
    drawn = [row[key] for row in rows for key in ("split", "low", "high") if row[key] is not None]
    ends = [*drawn, *([wanted] if wanted else [])] or [0.1, 1.0]
    scale = alt.Scale(type="log", domain=[min(ends) / 1.3, max(ends) * 1.3], nice=False)
    axis = alt.Axis(format="~g", tickCount=5)
    y: Axis = {"title": f"smallest gain in {plan['metric']} (log scale)", "scale": scale, "axis": axis}
    days = alt.Scale(domain=[0, len(rows) * (1.3 if assumed else 1.18)], nice=False)
    weeks = alt.Axis(values=list(range(0, len(rows) + 1, 7)), grid=False)
    x: Axis = {"title": "days of the trial, ramp and label window included", "scale": days, "axis": weeks}
    layers: list[alt.Chart] = []
    for name, key, colour, up in (
        ("split", "split", "challenger", -6), ("shadow (assumed)" if assumed else "shadow", "high", "incumbent", 6),
    ):  # fmt: skip
        known = chart_of([row for row in rows if row[key] is not None]).encode(x=alt.X("days:Q", **x))
        if assumed and key == "high":
            band = known.mark_area(color=colour_of(colour), opacity=0.22)
            layers.append(band.encode(y=alt.Y("low:Q", **y), y2="high:Q"))
        layers.append(known.mark_line(color=colour_of(colour), strokeWidth=2).encode(y=alt.Y(f"{key}:Q", **y)))
        last = [{**row, "said": name} for row in rows[-1:] if row[key] is not None]
        text = chart_of(last).mark_text(color=colour_of(colour), align="left", dx=6, dy=up, fontWeight=600)
        layers.append(text.encode(x=alt.X("days:Q", **x), y=alt.Y(f"{key}:Q", **y), text="said:N"))
    if wanted:
        _, named = level_line(wanted, f"worth having: {wanted:.3g}", "good", y, left=True)
        ends_at: Row = {"x": 0, "x2": len(rows), "level": wanted}  # leaves the names of the lines alone
        of = chart_of([ends_at]).mark_rule(color=colour_of("good"), strokeDash=[6, 4], strokeWidth=1.5)
        layers += [of.encode(x=alt.X("x:Q", **x), x2="x2:Q", y=alt.Y("level:Q", **y)), named]
    if not drawn:
        layers += level_line(ends[0], "nothing can be shown in these days", "ink", y)
    return titled(layers, f"What a trial of {evidence.subject} could show", height=280)


def gains(rows: Sequence[GainRow], unit: str, colours: Mapping[str, str], title: alt.TitleParams) -> Chart:
    """What a candidate gains over the incumbent, a line an interval: against zero and each rule's threshold.

    `colours` names the colour of each verdict, `headline` makes the title.
    """
    drawn: list[Row] = [
        {"label": one.label, "gain": one.gain, "colour": _of(one, colours),
         "lower": one.lower, "upper": one.gain if one.upper is None else one.upper,
         "said": f"{_signed(one.gain)}, {one.verdict.replace('_', ' ')}"}
        for one in rows
    ]  # fmt: skip
    x: Axis = {
        "title": f"gain in {unit}, with its one-sided bounds; right of zero is better",
        "scale": alt.Scale(domain=_around(rows), nice=False),
        "axis": alt.Axis(tickCount=7),
    }
    named = alt.Axis(labelLimit=220, labelPadding=8, ticks=False, domain=False)
    y = alt.Y("label:N", sort=[row["label"] for row in drawn], title=None, axis=named)
    layers: list[alt.Chart] = [
        chart_of([{"at": 0.0}]).mark_rule(color=colour_of("ink"), strokeWidth=1.5).encode(x=alt.X("at:Q", **x)),
    ]
    for colour in dict.fromkeys(_of(one, colours) for one in rows):
        of_it = [row for row in drawn if row["colour"] == colour]
        mine, bounded = chart_of(of_it), chart_of([row for row in of_it if row["lower"] is not None])
        layers += [
            bounded.mark_rule(color=colour_of(colour), strokeWidth=3).encode(
                x=alt.X("lower:Q", **x), x2="upper:Q", y=y
            ),
            mine.mark_point(color=colour_of(colour), filled=True, opacity=1, size=110).encode(
                x=alt.X("gain:Q", **x), y=y
            ),
            mine.mark_text(color=colour_of(colour), dy=-14, fontWeight=600).encode(
                x=alt.X("gain:Q", **x), y=y, text="said:N"
            ),
        ]
    for side in ("right", "left"):  # the name of a threshold keeps away from the line of zero
        asked: list[Row] = [
            {"label": one.label, "at": at, "rule": f"{rule} {_signed(at)}"}
            for one in rows
            for rule, at in one.thresholds
            if (at < 0.0 if side == "right" else at > 0.0)
        ]
        if asked:
            marks = chart_of(asked).encode(x=alt.X("at:Q", **x), y=y)
            layers.append(marks.mark_tick(color=colour_of("ink"), thickness=2, size=26))
            named_at = marks.mark_text(color=colour_of("muted"), dy=20, align=side, dx=6 if side == "right" else -6)
            layers.append(named_at.encode(text="rule:N"))
    return titled(layers, "", height=64 * len(drawn)).properties(title=title)


def headline(title: str, subtitle: str, colour: str) -> alt.TitleParams:
    """A title in a colour of the theme, and a line under it."""
    return alt.TitleParams(
        title, color=colour_of(colour), fontSize=16, subtitle=subtitle, subtitleColor=colour_of("muted"),
        subtitleFontSize=13, subtitlePadding=6,
    )  # fmt: skip


def people(result: Evidence) -> Chart:
    """People, model and baseline on the same rows with 95 % intervals; what a perfect model would read as a line."""
    numbers = result.numbers
    named = {f"people ({result.reference})": "people", f"model ({result.subject})": "model", "baseline": "baseline"}
    rows: list[Row] = [{"who": who, **numbers[key]} for who, key in named.items() if numbers.get(key)]
    colours = [colour_of(name) for name in ("ink", "incumbent", "baseline")][: len(rows)]
    scale = alt.Scale(domain=[row["who"] for row in rows], range=colours)
    x: Axis = {"title": f"{numbers['metric']}, with 95 % interval", "scale": alt.Scale(zero=False)}
    y = alt.Y("who:N", sort=[row["who"] for row in rows], title=None, axis=alt.Axis(labelLimit=260))
    colour = alt.Color("who:N", scale=scale, legend=None)
    bounded = chart_of([row for row in rows if row["lower"] is not None and row["upper"] is not None])
    layers: list[alt.Chart] = [
        bounded.mark_rule(strokeWidth=2.5).encode(x=alt.X("lower:Q", **x), x2="upper:Q", y=y, color=colour),
        chart_of(rows).mark_point(filled=True, size=90, opacity=1).encode(x=alt.X("value:Q", **x), y=y, color=colour),
    ]
    if numbers.get("ceiling") is not None:
        mine = "a perfect model reads this" if numbers["gold"] == "people" else "the most, were their labels the truth"
        line = chart_of([{"ceiling": numbers["ceiling"], "said": mine}])
        at = alt.X("ceiling:Q", **x)
        layers.append(line.mark_rule(color=colour_of("good"), strokeWidth=2, strokeDash=[6, 4]).encode(x=at))
        layers.append(
            line.mark_text(color=colour_of("good"), align="right", dx=-6, baseline="bottom").encode(
                x=at, y=alt.value(40 * len(rows) - 2), text="said:N"
            )
        )
    return titled(layers, f"May {result.subject} replace people? {result.verdict.replace('_', ' ')}", 40 * len(rows))


def policies(months: Sequence[MonthRow], names: Mapping[str, str], metric: str) -> Chart:
    """The mean loss of each policy by month.

    `names` says how each policy is called; the first is drawn as the incumbent, then come the colours of
    challenger, baseline and untouched.
    """
    rows: list[Row] = [
        {"month": f"{month.name}-01T00:00:00Z", "policy": said, "loss": month.loss[key]}
        for month in months
        for key, said in names.items()
        if key in month.loss
    ]
    legend = alt.Legend(title=None, orient="top", labelLimit=240, columns=2)
    domain = list(names.values())
    colours = alt.Scale(domain=domain, range=[colour_of(name) for name in POLICIES[: len(names)]])
    axis = alt.Axis(format="%b", tickCount={"interval": "month", "step": 1}, labelAngle=0)
    base = chart_of(rows).encode(
        x=alt.X("month:T", title=_year(rows), axis=axis, scale=alt.Scale(type="utc")),
        y=alt.Y("loss:Q", title=f"mean {metric}, lower is better", scale=alt.Scale(zero=False)),
        color=alt.Color("policy:N", scale=colours, legend=legend),
        shape=alt.Shape("policy:N", scale=alt.Scale(domain=domain), legend=legend),
    )
    layers: list[alt.Chart] = [base.mark_line(strokeWidth=2.5), base.mark_point(filled=True, size=50)]
    return titled(layers, f"{metric} by month")


def latency(rungs: Sequence[Rung], budget_ms: float = 0.0) -> Chart:
    """Bars from the median to the 99th percentile of single-row latency; the budget as a line (0: none)."""
    rows: list[Row] = [
        {"rung": rung.name, "p50": rung.p50_ms, "p99": rung.p99_ms, "said": f"p99 {rung.p99_ms:.3g} ms"}
        for rung in rungs
    ]
    values = [value for rung in rungs for value in (rung.p50_ms, rung.p99_ms)] + [budget_ms or rungs[0].p99_ms]
    wide = min(values) > 0.0 and max(values) / min(values) >= LOG_FROM
    scale = (
        alt.Scale(type="log", domain=[min(values) / 2, max(values) * 4])
        if wide
        else alt.Scale(domain=[0, max(values) * 1.2])
    )
    x: Axis = {"title": f"milliseconds a single row, median to p99{' (log scale)' if wide else ''}", "scale": scale}
    y = alt.Y("rung:N", sort=[rung.name for rung in rungs], title=None, axis=alt.Axis(labelLimit=260))
    base = chart_of(rows).encode(y=y)
    layers: list[alt.Chart] = [
        base.mark_bar(color=colour_of("incumbent"), height=14).encode(x=alt.X("p50:Q", **x), x2="p99:Q"),
        base.mark_text(color=colour_of("ink"), align="left", dx=6).encode(x=alt.X("p99:Q", **x), text="said:N"),
    ]
    if budget_ms:
        line = chart_of([{"budget": budget_ms, "said": f"budget {budget_ms:g} ms"}])
        at = alt.X("budget:Q", **x)
        layers.append(line.mark_rule(color=colour_of("bad"), strokeWidth=2, strokeDash=[6, 4]).encode(x=at))
        layers.append(
            line.mark_text(color=colour_of("bad"), align="right", dx=-6, baseline="top").encode(
                x=at, y=alt.value(2), text="said:N"
            )
        )
    return titled(layers, "How fast it answers", height=38 * len(rows) + 24)


def incumbents(events: Sequence[Event], zone: tzinfo = UTC, until: Micros | None = None) -> Chart:
    """Who was the incumbent, and who was on trial, when; with refusals, rollbacks and alarms as marks.

    `until` ends the last stretch (default: the last event).
    """
    spans, marks = _spans(events, zone, until)
    order = list(dict.fromkeys(span["version"] for span in sorted(spans, key=lambda span: str(span["since"]))))
    y = alt.Y("version:N", sort=order, title=None)
    x = days_axis("since", zone)
    scale = alt.Scale(domain=["in office", "on trial"], range=[colour_of("incumbent"), colour_of("challenger")])
    legend = alt.Legend(title=None, orient="top", labelLimit=240, columns=3)
    bars = chart_of(spans).mark_bar(height=13, cornerRadius=2)
    layers: list[alt.Chart] = [
        bars.encode(x=x, x2="until:T", y=y, color=alt.Color("place:N", scale=scale, legend=legend)),
    ]
    if marks:
        found = [said for said in MARKS.values() if any(mark["what"] == said for mark in marks)]
        shapes = [SHAPES[list(MARKS.values()).index(said)] for said in found]
        shape = alt.Shape("what:N", scale=alt.Scale(domain=found, range=shapes), legend=legend)
        dots = chart_of(marks).mark_point(
            fill=colour_of("ink"), stroke=colour_of("ground"), strokeWidth=1.2, opacity=1, size=130
        )
        layers.append(dots.encode(x=x, y=y, shape=shape))
    return titled(layers, "Who answered, and who was on trial", height=26 * len(order))


# --- parts


def _spans(events: Sequence[Event], zone: tzinfo, until: Micros | None) -> tuple[list[Row], list[Row]]:
    """Stretches in office and on trial, and the marks, by folding the ledger event by event."""
    end = max(events[-1].at, until or 0)
    spans: list[Row] = []
    marks: list[Row] = []
    since: dict[tuple[str, str], Micros] = {}
    now = Roles()
    for event in events:
        before, now = _places(now), fold([event], now)
        for place, version in before - _places(now):
            spans.append(_span(place, version, since.pop((place, version)), event.at, zone))
        for held in _places(now) - before:
            since[held] = event.at
        won = event.data.get("verdict") == "promote"  # a shadow that goes on to a split did not end without a winner
        if event.type in MARKS and now.incumbent and not won:
            about = str(event.data.get("challenger") or event.data.get("version") or now.incumbent)
            marks.append({"since": wall_clock(event.at, zone), "version": about, "what": MARKS[event.type]})
    spans += [_span(place, version, began, end, zone) for (place, version), began in since.items()]
    shown = {span["version"] for span in spans}
    return spans, [mark for mark in marks if mark["version"] in shown]


def _places(roles: Roles) -> set[tuple[str, str]]:
    held = {("in office", roles.incumbent), ("on trial", roles.trial.challenger if roles.trial else None)}
    return {(place, version) for place, version in held if version is not None}


def _span(place: str, version: str, since: Micros, until: Micros, zone: tzinfo) -> Row:
    return {"place": place, "version": version, "since": wall_clock(since, zone), "until": wall_clock(until, zone)}


def _around(rows: Sequence[GainRow]) -> list[float]:
    """The x domain of gains: zero, bounds and thresholds, with some room on both sides."""
    ends = [0.0, *(one.gain for one in rows), *(at for one in rows for _, at in one.thresholds)]
    ends += [bound for one in rows for bound in (one.lower, one.upper) if bound is not None]
    room = 0.05 * (max(ends) - min(ends)) or 1.0
    return [min(ends) - room, max(ends) + room]


def _signed(value: float) -> str:
    return f"{value:+.3g}".replace("-", "−")


def _of(row: GainRow, colours: Mapping[str, str]) -> str:
    return colours.get(row.verdict, "open")


def _year(rows: Sequence[Row]) -> str:
    years = sorted({str(row["month"])[:4] for row in rows})
    return f"month of {years[0]}" if len(years) == 1 else f"month, {years[0]} to {years[-1]}"
