"""How does a chart look, and what bytes does it become? Themes, the parts that charts share, SVG, PNG and HTML.

In: what `charts` draws. Out: pictures, light and dark: marks name a colour (incumbent, challenger, bad, …) and the
theme says what it is, on a transparent ground. Knows no evidence.
"""

from collections.abc import Mapping, Sequence
from datetime import tzinfo
from pathlib import Path
from typing import Any

import altair as alt
import vl_convert

from incumbent.records import Json, Micros, moment

WIDTH, HEIGHT = 600, 240
FONT = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif"

LIGHT = {
    "ink": "#1d2126", "muted": "#58616c", "grid": "#dedbd4", "ground": "#ffffff", "incumbent": "#1f5fbf",
    "challenger": "#c2410c", "baseline": "#6b7280", "untouched": "#7c3aed", "good": "#12693a", "bad": "#b3261e",
    "open": "#59606a",
}  # fmt: skip
DARK = {
    "ink": "#e9e7e2", "muted": "#a3acb6", "grid": "#353b42", "ground": "#1d2125", "incumbent": "#6ea8ff",
    "challenger": "#ff9f5a", "baseline": "#9aa3ad", "untouched": "#c4a3ff", "good": "#7fd9a5", "bad": "#ff8d83",
    "open": "#b7bec7",
}  # fmt: skip

Chart = alt.Chart | alt.LayerChart | alt.VConcatChart
Row = dict[str, Json]
Axis = dict[str, Any]  # the channel's title and scale, the same in every layer


def both(chart: Chart) -> dict[str, bytes]:
    """The light and the dark drawing of a chart."""
    return {"light": svg(chart), "dark": svg(chart, dark=True)}


def svg(chart: Chart, dark: bool = False) -> bytes:
    """A chart as SVG bytes: transparent ground, text as text in the reader's own fonts."""
    drawn: str = vl_convert.vegalite_to_svg(chart.configure(**theme_of(DARK if dark else LIGHT)).to_dict())
    return drawn.encode()


FORMATS = (".svg", ".png", ".html")


def save(chart: Chart, path: Path) -> None:
    """Write a chart to a file by the end of its name: .svg, .png (twice the size), or .html (one file, with everything
    in it). Light, on a white ground. Raises OSError where the file cannot be written."""
    theme = theme_of(LIGHT) | {"background": LIGHT["ground"]}
    spec = chart.configure(**theme).to_dict()
    if path.suffix == ".png":
        path.write_bytes(vl_convert.vegalite_to_png(spec, scale=2))
    elif path.suffix == ".html":
        path.write_text(vl_convert.vegalite_to_html(spec, bundle=True), encoding="utf-8")
    else:
        path.write_text(vl_convert.vegalite_to_svg(spec), encoding="utf-8")


# --- parts


def level_line(
    value: float, label: str, colour: str, y: Axis, under: bool = False, *, left: bool = False
) -> list[alt.Chart]:
    """A horizontal line with its name at the right (or left) end, above or under it."""
    line = chart_of([{"level": value, "label": label}]).encode(y=alt.Y("level:Q", **y))
    text = line.mark_text(
        color=colour_of(colour), align="left" if left else "right", baseline="top" if under else "bottom",
        dy=4 if under else -4,
    )  # fmt: skip
    return [
        line.mark_rule(color=colour_of(colour), strokeDash=[6, 4], strokeWidth=1.5),
        text.encode(x=alt.value(6 if left else WIDTH - 2), text="label:N"),
    ]


def upright_line(
    value: float, label: str, colour: str, x: Axis, down: int, *, at_left: bool = False
) -> list[alt.Chart]:
    """A vertical line with its name beside it (`at_left`: on its left), `down` pixels above the lower end."""
    line = chart_of([{"level": value, "label": label}]).encode(x=alt.X("level:Q", **x))
    text = line.mark_text(color=colour_of(colour), align="right" if at_left else "left", dx=-5 if at_left else 5)
    return [
        line.mark_rule(color=colour_of(colour), strokeDash=[6, 4], strokeWidth=1.5),
        text.encode(y=alt.value({"expr": f"height - {down}"}), text="label:N"),
    ]


def days_axis(field: str, zone: tzinfo, what: str = "day") -> alt.X:
    axis = alt.Axis(format="%-d %B", labelOverlap=True, tickCount=6)
    return alt.X(f"{field}:T", title=f"{what} ({zone})", axis=axis, scale=alt.Scale(type="utc"))


def wall_clock(at: Micros, zone: tzinfo) -> str:
    """The wall clock of the zone at that time, written as if it were UTC (charts know no other zone)."""
    return moment(at).astimezone(zone).strftime("%Y-%m-%dT%H:%M:%SZ")


def chart_of(rows: Sequence[Row]) -> alt.Chart:
    return alt.Chart(alt.InlineData(values=list(rows)))


def colour_of(name: str) -> alt.ExprRef:
    """A colour by its name in the theme."""
    return alt.ExprRef(expr=name)


def titled(layers: Sequence[alt.Chart], title: str, height: int = HEIGHT) -> Chart:
    chart = alt.LayerChart(layer=list(layers)).properties(width=WIDTH, height=height, title=title)
    drawn: Chart = chart.configure(**theme_of(LIGHT))
    return drawn


def theme_of(colours: Mapping[str, str]) -> dict[str, Any]:
    """Colours, fonts and sizes as a Vega-Lite configuration."""
    ink, muted, grid = colours["ink"], colours["muted"], colours["grid"]
    text = {"titleColor": ink, "labelFontSize": 13, "titleFontSize": 13, "titleFontWeight": 400}
    lines = {"gridColor": grid, "domainColor": grid, "tickColor": grid}
    return {
        "background": "transparent",
        "font": FONT,
        "padding": 8,
        "view": {"stroke": None},
        "axis": {**text, **lines, "labelColor": muted, "titlePadding": 8},
        "legend": {**text, "labelColor": ink, "symbolFillColor": ink},
        "title": {"color": ink, "fontSize": 14, "fontWeight": 600, "anchor": "start", "offset": 10},
        "text": {"fontSize": 13},
        "params": [{"name": name, "value": colour} for name, colour in colours.items()],
    }
