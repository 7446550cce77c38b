"""The gate's picture: the gain against zero and the thresholds, the verdict in words and colour.

In: an Outcome. Out: a chart for the page, or a file's bytes: SVG that follows the reader's light or dark, PNG on
white. Where there is no interval (an error, losses that are not finite) there is no chart, and the file is the words.
"""

import re
import textwrap
from html import escape

import vl_convert

from incumbent import charts, drawing
from incumbent.ci.outcome import COLOURS, Outcome, drawn, intervals

_OPENING = re.compile(rb"<svg\b[^>]*>")
_SIZE = re.compile(rb'\b(width|height)="([\d.]+)"')
_ID = re.compile(r'(\bid="|url\(#|href="#)')
_LINE = 20


def chart(outcome: Outcome) -> drawing.Chart | None:
    """The chart for a page or a notebook; None where there is no gain to draw."""
    found, left_out = drawn(intervals(outcome))
    if not found or outcome.evidence is None:
        return None
    rows = outcome.numbers.get("n_rows", 0)
    subtitle = f"{outcome.metric} on {rows:,} held-out rows of {outcome.task}"
    subtitle += f"; {left_out:,} more slices are not drawn" if left_out else ""
    title = charts.headline(outcome.title, subtitle, COLOURS.get(outcome.verdict, "open"))
    return charts.gains(found, outcome.metric, COLOURS, title)


def svg(outcome: Outcome) -> bytes:
    """One file with both drawings; the reader's setting shows one of them."""
    found = chart(outcome)
    if found is None:
        return _words(outcome)
    both = drawing.both(found)
    size = {key.decode(): float(value) for key, value in _SIZE.findall(_opening(both["light"]))}
    return _file(size["width"], size["height"], {theme: _inside(theme, one) for theme, one in both.items()})


def png(outcome: Outcome) -> bytes:
    """The light drawing on white, two pixels a point."""
    light = drawing.svg(found).decode() if (found := chart(outcome)) else _light_words(outcome)
    grounded = _OPENING.sub(lambda found: found.group() + _ground("light").encode(), light.encode(), count=1)
    made: bytes = vl_convert.svg_to_png(grounded.decode(), scale=2)
    return made


# --- parts


def _words(outcome: Outcome) -> bytes:
    wide, high, _ = _lines(outcome)
    return _file(wide, high, {theme: _text(outcome, theme) for theme in ("light", "dark")})


def _light_words(outcome: Outcome) -> str:
    wide, high, _ = _lines(outcome)
    inside = _text(outcome, "light")
    return f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide:g}" height="{high:g}">{inside}</svg>'


def _lines(outcome: Outcome) -> tuple[float, float, list[str]]:
    lines = textwrap.wrap(outcome.sentence, 84) or [""]
    return drawing.WIDTH + 60.0, 60.0 + _LINE * len(lines), lines


def _text(outcome: Outcome, theme: str) -> str:
    colours = _theme(theme)
    _, _, lines = _lines(outcome)
    colour = colours[COLOURS.get(outcome.verdict, "bad")]
    parts = [f'<text x="16" y="30" font-size="16" font-weight="600" fill="{colour}">{escape(outcome.title)}</text>']
    parts += [
        f'<text x="16" y="{58 + _LINE * i}" font-size="13" fill="{colours["ink"]}">{escape(line)}</text>'
        for i, line in enumerate(lines)
    ]
    return f'<g font-family="{escape(drawing.FONT)}">{"".join(parts)}</g>'


def _file(wide: float, high: float, inside: dict[str, str]) -> bytes:
    style = ".dark{display:none}@media(prefers-color-scheme:dark){.dark{display:inline}.light{display:none}}"
    groups = "".join(f'<g class="{theme}">{_ground(theme)}{one}</g>' for theme, one in inside.items())
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'width="{wide:g}" height="{high:g}" viewBox="0 0 {wide:g} {high:g}"><style>{style}</style>{groups}</svg>\n'
    ).encode()


def _ground(theme: str) -> str:
    return f'<rect width="100%" height="100%" fill="{_theme(theme)["ground"]}"/>'


def _theme(name: str) -> dict[str, str]:
    return drawing.DARK if name == "dark" else drawing.LIGHT


def _opening(drawn: bytes) -> bytes:
    found = _OPENING.search(drawn)
    return found.group() if found else b""


def _inside(theme: str, drawn: bytes) -> str:
    """What is between the outer tags, with ids of its own: both drawings share a file."""
    inner = _OPENING.sub(b"", drawn, count=1).rpartition(b"</svg>")[0].decode()
    return _ID.sub(rf"\g<1>{theme}-", inner)
