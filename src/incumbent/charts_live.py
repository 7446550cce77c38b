"""What does a trial look like? Its gain over time, its guardrails, its gain by segments.

In: evidence of looks, segments as `steps.live.segments` found them. Out: Altair charts, which `charts` hands on. States
have a sign and words, so that nobody has to tell colours apart. Charts compute no statistic.
"""

import textwrap
from collections.abc import Mapping, Sequence
from datetime import UTC, tzinfo
from typing import Any

import altair as alt

from incumbent.drawing import HEIGHT, Axis, Chart, Row, chart_of, colour_of, days_axis, titled, wall_clock
from incumbent.records import Evidence
from incumbent.web import looks as reading

SETTLED_AFTER = 4
"""From this many looks on, the y scale of a trial leaves out the first third, whose bounds are far away."""
COLOURS = {"harm": "bad", "cleared": "good", "undecided": "open"}
SHAPES = {"harm": "cross", "cleared": "circle", "undecided": "square"}
LINE = 96
"""Characters a line of a subtitle."""
PLOT = 470
"""Pixels of a trial's plot: the names of its lines stand beside it."""
NAME = 17
"""Pixels between the names of two lines."""


def trial(
    looks: Sequence[Evidence],
    min_gain: float = 0.0,
    zone: tzinfo = UTC,
    *,
    smallest_effect: float = 0.0,
    verdict: bool = False,
) -> Chart:
    """The challenger's gain at each look with its bounds, no difference, and the lines of promoting and stopping.

    `looks` are the recorded looks of one trial, oldest first; those of its last phase are drawn. `min_gain` and
    `smallest_effect` are for looks that do not know their lines. `verdict` writes the last verdict above the picture.
    """
    last = looks[-1]
    rows: list[Row] = [
        {"when": wall_clock(at, zone), "gain": gain, "lower": lower, "upper": upper}
        for at, gain, lower, upper in reading.points(looks)
    ]
    bounded = [row for row in rows if row["lower"] is not None and row["upper"] is not None]
    lines = reading.lines(last.numbers, min_gain, smallest_effect)
    unit = reading.primary(last.numbers)
    y: Axis = {"title": f"gain in {unit}", "scale": alt.Scale(domain=_room(bounded or rows, lines))}
    x = days_axis("when", zone)
    gain = chart_of([row for row in rows if row["gain"] is not None]).encode(x=x, y=alt.Y("gain:Q", **y))
    band = chart_of(bounded).encode(x=x, y=alt.Y("lower:Q", **y), y2="upper:Q")
    layers: list[alt.Chart] = [
        band.mark_area(color=colour_of("challenger"), opacity=0.22, clip=True),
        gain.mark_line(color=colour_of("challenger"), clip=True, strokeWidth=2),
        gain.mark_point(color=colour_of("challenger"), clip=True, filled=True, size=30),
        *_levels(lines, y),
    ]
    if len(bounded) == 1:  # an area of one point has no width
        layers.append(band.mark_rule(color=colour_of("challenger"), strokeWidth=3, opacity=0.5))
    title = f"{last.subject} against {last.reference}: above zero it is better"
    chart = titled(layers, title).properties(width=PLOT)
    return chart.properties(title=_with_verdict(title, last)) if verdict else chart


def guardrails(look: Evidence) -> Chart:
    """Each guardrail's interval against what is allowed, a panel each, for each has a unit of its own."""
    found = [one for one in reading.guardrails(look.numbers) if one["upper"] is not None or one["lower"] is not None]
    panels = [_panel(one) for one in found]
    chart = alt.VConcatChart(vconcat=panels, spacing=14).resolve_scale(x="independent")
    named: Chart = chart.properties(title="What must not be harmed")
    return named


def has_guardrails(look: Evidence) -> bool:
    """Is there any interval to draw?"""
    return any(one["upper"] is not None or one["lower"] is not None for one in reading.guardrails(look.numbers))


def segments(found: Mapping[str, Any]) -> Chart:
    """The gain in each segment with its interval, the overall gain as a line. Exploratory: these decide nothing."""
    rows: list[Row] = [
        {**one, "label": f"{one['feature']}: {one['value']}", "said": "too good to be true?" if one["note"] else ""}
        for one in found["segments"]
    ]
    x: Axis = {"title": f"gain in {found['metric']}, right of zero is better", "scale": alt.Scale(nice=False)}
    named = alt.Axis(labelLimit=240, labelPadding=8, ticks=False, domain=False)
    y = alt.Y("label:N", sort=[str(row["label"]) for row in rows], title=None, axis=named)
    mine = chart_of(rows)
    layers: list[alt.Chart] = [
        chart_of([{"at": 0.0}]).mark_rule(color=colour_of("ink"), strokeWidth=1.5).encode(x=alt.X("at:Q", **x)),
        chart_of([{"at": found["overall"]["gain"]}])
        .mark_rule(color=colour_of("challenger"), strokeDash=[6, 4], strokeWidth=1.5)
        .encode(x=alt.X("at:Q", **x)),
        mine.mark_rule(color=colour_of("challenger"), strokeWidth=2).encode(x=alt.X("lower:Q", **x), x2="upper:Q", y=y),
        mine.mark_point(color=colour_of("challenger"), filled=True, opacity=1, size=60).encode(
            x=alt.X("gain:Q", **x), y=y
        ),
        mine.mark_text(color=colour_of("bad"), dy=-9, fontSize=12).encode(x=alt.X("gain:Q", **x), y=y, text="said:N"),
    ]
    title = "Gain by segment (exploratory: these decide nothing); the dashed line is all rows"
    return titled(layers, title, height=24 * len(rows) + 10)


def _levels(lines: Mapping[str, float], y: Axis) -> list[alt.Chart]:
    """No difference; promoted above; stopped where the whole interval is below. The names stand beside the plot, apart
    from each other however close the lines are."""
    promote, stop = lines["promote"], lines["stop"]
    levels = [(0.0, "no difference" if promote else "no difference; promoted above", "ink")]
    if promote:
        levels.append((promote, f"promoted above {promote:.3g}", "good"))
    if stop > 0.0:
        levels.append((stop, f"stopped if all is below {stop:.3g}", "muted"))
    drawn = []
    for (value, said, colour), pixel in zip(sorted(levels), _apart(sorted(levels), y["scale"].domain), strict=True):
        line = chart_of([{"level": value, "label": said}])
        drawn += [
            line.mark_rule(color=colour_of(colour), strokeDash=[6, 4], strokeWidth=1.5).encode(y=alt.Y("level:Q", **y)),
            line.mark_text(color=colour_of(colour), align="left").encode(
                x=alt.value(PLOT + 6), y=alt.value(pixel), text="label:N"
            ),
        ]
    return drawn


def _apart(levels: Sequence[tuple[float, str, str]], domain: Sequence[float]) -> list[float]:
    """Where each name stands, in pixels from the top, for levels in rising order: at its line, and `NAME` pixels above
    the one below."""
    low, high = domain
    placed: list[float] = []
    for value, _, _ in levels:
        at = HEIGHT * (high - value) / (high - low)
        placed.append(min(at, placed[-1] - NAME) if placed else at)
    return placed


def _panel(one: Mapping[str, Any]) -> alt.LayerChart:
    """One guardrail: its interval, its point, the limit, and its state in words."""
    colour, rate = COLOURS[one["state"]], one["kind"] == "rate"
    lower = one["lower"] if one["lower"] is not None else 0.0 if rate else one["upper"]
    upper = one["upper"] if one["upper"] is not None else lower
    point = one["challenger"] if rate else one["estimate"]
    ends = [value for value in (lower, upper, point, one["limit"], 0.0) if value is not None]
    room = 0.08 * (max(ends) - min(ends)) or 1.0
    axis = alt.Axis(tickCount=5, format="%" if rate and max(ends) >= 0.05 else ".2~%" if rate else "~g")
    scale = alt.Scale(domain=[0.0 if rate else min(ends) - room, max(ends) + room], nice=False)
    x: Axis = {"title": None, "scale": scale, "axis": axis}
    row: Row = {"lower": lower, "upper": upper, "point": point, "y": 0}
    y = alt.Y("y:Q", axis=None, scale=alt.Scale(domain=[-1, 1]))
    layers = [
        chart_of([row]).mark_rule(color=colour_of(colour), strokeWidth=4).encode(
            x=alt.X("lower:Q", **x), x2="upper:Q", y=y
        ),
    ]
    if point is not None:
        dot = chart_of([row]).mark_point(
            color=colour_of(colour), filled=one["state"] != "undecided", shape=SHAPES[one["state"]], size=110, opacity=1
        )
        layers.append(dot.encode(x=alt.X("point:Q", **x), y=y))
    if one["limit"] is not None:
        limit = chart_of([{"at": one["limit"], "said": "allowed"}]).encode(x=alt.X("at:Q", **x))
        layers.append(limit.mark_rule(color=colour_of("ink"), strokeDash=[5, 4], strokeWidth=1.5))
        left = one["limit"] > (min(ends) + max(ends)) / 2
        text = limit.mark_text(color=colour_of("muted"), align="right" if left else "left", dx=-5 if left else 5)
        layers.append(text.encode(y=alt.value(6), text="said:N"))
    title = alt.TitleParams(
        f"{one['sign']} {one['name']}: {one['state_said']}", color=colour_of(colour), fontSize=13,
        subtitle=one["unit"] if rate else f"gain in {one['unit']}", subtitleColor=colour_of("muted"), offset=4,
    )  # fmt: skip
    return alt.LayerChart(layer=layers).properties(width=540, height=34, title=title)


def _with_verdict(title: str, last: Evidence) -> alt.TitleParams:
    good = {"promote": "good", "roll_back": "bad", "invalid": "bad"}
    return alt.TitleParams(
        reading.HEADLINES.get(last.verdict, last.verdict.replace("_", " ")),
        color=colour_of(good.get(last.verdict, "ink")),
        fontSize=16,
        subtitle=[title, *textwrap.wrap(last.sentence, LINE)],
        subtitleColor=colour_of("muted"),
        subtitleFontSize=12,
        subtitlePadding=6,
    )


def _room(bounded: Sequence[Row], lines: Mapping[str, float]) -> list[float]:
    """The y domain of a trial: the bounds once they have settled, zero and the lines."""
    settled = bounded[len(bounded) // 3 :] if len(bounded) >= SETTLED_AFTER else bounded
    found = [row[key] for row in settled for key in ("lower", "upper", "gain")]
    ends = [0.0, *lines.values(), *(value for value in found if value is not None)]
    room = 0.08 * (max(ends) - min(ends)) or 0.01
    return [min(ends) - room, max(ends) + room]
