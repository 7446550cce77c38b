"""How does the gain lie against zero and the thresholds? A picture in characters.

In: intervals. Out: lines of text for a monospaced font: what a step summary, a comment and a job's log all show.
(GitHub strips data: addresses and inline SVG from Markdown, and a Mermaid chart can draw no interval.)
"""

from collections.abc import Sequence

from incumbent.ci.outcome import WORDS, Interval, drawn

WIDTH = 49
LABEL_WIDTH = 28
ZERO, LINE, LEFT, RIGHT, CROSSED, POINT, THRESHOLD = "│", "─", "├", "┤", "┼", "●", "┊"


def picture(intervals: Sequence[Interval], unit: str = "loss") -> str:
    """One row an interval, on one scale: the gain ● between its one-sided bounds ├ ┤, zero │, thresholds ┊.

    Empty where there is no interval.

    >>> print(picture([Interval("all rows", "ship", 0.02, 0.01, 0.03, (("better_by", 0.005),))]))
    all rows  │       ┊       ├───────────────●───────────────┤  +0.02 (+0.01 to +0.03)  ship
              0                                            0.03
    <BLANKLINE>
    ● gain in loss   ├─┤ its bounds   │ no difference   ┊ better_by 0.005
    """
    if not intervals:
        return ""
    shown, left_out = drawn(list(intervals))
    low, high = _room(shown)
    labels = [_cut(one.label) for one in shown]
    wide = max(map(len, labels))
    named = zip(labels, shown, strict=True)
    rows = [f"{label:<{wide}}  {_drawn(one, low, high)}  {_said(one)}" for label, one in named]
    more = [f"({left_out:,} more slices are not drawn)"] if left_out else []
    margin = " " * (wide + 2)
    return "\n".join(line.rstrip() for line in [*rows, *more, f"{margin}{_axis(low, high)}", "", *_key(shown, unit)])


def _room(intervals: Sequence[Interval]) -> tuple[float, float]:
    ends = [0.0]
    for one in intervals:
        ends += [value for value in (one.gain, one.lower, one.upper) if value is not None]
        ends += [value for _, value in one.thresholds]
    low, high = min(ends), max(ends)
    return (low, high) if low < high else (low - 1.0, high + 1.0)


def _drawn(one: Interval, low: float, high: float) -> str:
    cells = [" "] * WIDTH
    cells[_place(0.0, low, high)] = ZERO
    if one.lower is not None:
        first, last = _place(one.lower, low, high), _place(one.gain if one.upper is None else one.upper, low, high)
        zero = _place(0.0, low, high)
        cells[first : last + 1] = LINE * (last + 1 - first)
        if first < zero < last:
            cells[zero] = CROSSED
        cells[first], cells[last] = LEFT, RIGHT
    for _, value in one.thresholds:
        if value != 0.0:
            cells[_place(value, low, high)] = THRESHOLD
    cells[_place(one.gain, low, high)] = POINT
    return "".join(cells)


def _place(value: float, low: float, high: float) -> int:
    return round((value - low) / (high - low) * (WIDTH - 1))


def _axis(low: float, high: float) -> str:
    """Zero below its line, and the ends of the scale where they do not touch it."""
    cells = [" "] * WIDTH
    for place, text in ((_place(0.0, low, high), "0"), (0, _number(low)), (WIDTH - 1, _number(high))):
        start = max(min(place - len(text) // 2, WIDTH - len(text)), 0)
        if not "".join(cells[max(start - 1, 0) : start + len(text) + 1]).strip():
            cells[start : start + len(text)] = text
    return "".join(cells)


def _key(intervals: Sequence[Interval], unit: str) -> list[str]:
    lines = dict.fromkeys(line for one in intervals for line in one.thresholds if line[1] != 0.0)
    asked = [f"{THRESHOLD} {rule} {_number(value)}" for rule, value in lines]
    return ["   ".join([f"{POINT} gain in {unit}", f"{LEFT}{LINE}{RIGHT} its bounds", f"{ZERO} no difference", *asked])]


def _said(one: Interval) -> str:
    bounds = "no bounds" if one.lower is None else f"at least {one.lower:+.3g}"
    if one.lower is not None and one.upper is not None:
        bounds = f"{one.lower:+.3g} to {one.upper:+.3g}"
    return f"{one.gain:+.3g} ({bounds})  {WORDS.get(one.verdict, one.verdict)}"


def _number(value: float) -> str:
    return f"{value:.3g}"


def _cut(label: str) -> str:
    line = " ".join(label.split())
    return line if len(line) <= LABEL_WIDTH else line[: LABEL_WIDTH - 1] + "…"
