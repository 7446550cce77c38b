"""The gate on one self-contained HTML page: an artefact that a reviewer opens.

In: an Outcome. Out: HTML with its style and picture inside; no script, no request to anybody, light and dark.
"""

from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from incumbent.ci.outcome import COLOURS, WORDS, Outcome, cases, next_step
from incumbent.ci.picture import chart
from incumbent.ci.summary import numbers
from incumbent.report import inline
from incumbent.web import words


def html(outcome: Outcome) -> str:
    """The page, as one string that needs nothing beside it."""
    templates = Environment(
        loader=PackageLoader("incumbent", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters |= {"when": words.when, "iso": words.iso, "number": words.number}
    style = files("incumbent.web").joinpath("static", "style.css").read_text(encoding="utf-8")
    drawn = chart(outcome)
    return templates.get_template("gate.html").render(
        outcome=outcome,
        cases=cases(outcome),
        words=WORDS,
        colours=COLOURS,
        numbers=numbers(outcome),
        next=next_step(outcome),
        picture=inline("gain", drawn) if drawn else None,
        style=Markup(style),
    )
