"""What did a rehearsal show, what may be expected at the onset, how does a trial stand? One self-contained page each.

In: a `Report`, plain values that the rehearsal found; the evidence of `expect`; a trial as its own page shows it. Out:
HTML with style and pictures inside; no script, no request to anybody, light and dark. Draws through `charts`; computes
nothing and reads no store.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from functools import partial
from importlib.resources import files
from typing import Any
from zoneinfo import ZoneInfo

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from incumbent import charts, drawing
from incumbent.charts import MonthRow, Rung
from incumbent.config import Config
from incumbent.records import Event, Evidence, Micros
from incumbent.web import words
from incumbent.web.looks import points

_ID = re.compile(r'(\bid="|url\(#|href="#)')


@dataclass(frozen=True, slots=True)
class Decided:
    """One decision: when, what, about whom, and why."""

    at: Micros
    what: str
    version: str
    reason: str


@dataclass(frozen=True, slots=True)
class Broken:
    """One feed that was broken on purpose: what was done to it, and how it was (or was not) caught."""

    what: str
    caught: bool
    how: str
    at: Micros | None = None


@dataclass(frozen=True, slots=True)
class Totals:
    """What went over the wire. `p99_ms` of a request; `rows` a request are many."""

    requests: int
    rows: int
    lost: int
    failed: int
    p99_ms: float
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that the page shows.

    `months` are rows as `rehearse.compare.Month` has them; `policies` names their losses, in the order of the
    table's columns: the loop first, then always ship, the prior, the untouched model (their colours follow).
    `overall` is the mean loss of each policy over the months. `split` is `steps.live.looks.table(evidence)`, the
    heading first; `looks` the recorded looks of each trial that is drawn, oldest first. `refused` are decisions against
    a retrain, or that took one back. `expected` are (what, value of the metric, where it is from) of the onset and of
    what was delivered, `expectation` the evidence that is drawn. `rungs` are empty where speed was not measured.
    """

    task: str
    headline: str
    metric: str
    timezone: str
    months: Sequence[Any]
    policies: Mapping[str, str]
    overall: Mapping[str, float]
    totals: Totals
    mean_truth: str = "mean truth"
    events: Sequence[Event] = ()
    looks: Sequence[Sequence[Evidence]] = ()
    split: Sequence[tuple[str, str, str]] = ()
    split_sentence: str = ""
    decisions: Sequence[Decided] = ()
    refused: Sequence[Decided] = ()
    broken: Sequence[Broken] = ()
    rungs: Sequence[Rung] = ()
    budget_ms: float = 0.0
    expected: Sequence[tuple[str, float | None, str]] = ()
    expectation: Evidence | None = None
    min_gain: float = 0.0
    notes: Sequence[str] = field(default=())


def html(report: Report) -> str:
    """The page, as one string that needs nothing beside it."""
    zone = ZoneInfo(report.timezone)
    pictures = {name: inline(name, chart) for name, chart in _charts(report, zone).items()}
    page = _templates(zone).get_template("report.html")
    return page.render(report=report, style=_style(), pictures=pictures, timezone=report.timezone)


def expectation(evidence: Evidence, task: str, timezone: str) -> str:
    """The page of `incumbent expect`: floor, ceiling, the curve and the goal, for whoever commissions the model."""
    zone = ZoneInfo(timezone)
    drawn = inline("expect", charts.expectation(evidence)) if evidence.numbers["curve"]["points"] else None
    page = _templates(zone).get_template("expect.html")
    return page.render(
        evidence=evidence, numbers=evidence.numbers, task=task, timezone=timezone, style=_style(), picture=drawn
    )


def trial(
    shown: Mapping[str, Any], looks: Sequence[Evidence], config: Config, *, afterwards: Evidence | None = None
) -> str:
    """The page of `incumbent live report`: what the trial's own page shows, with the pictures inside.

    `shown` is `web.trial.page` of a trial, `looks` its recorded looks, the oldest first. `afterwards` is what an ended
    trial would say with every label that came since.
    """
    zone = config.zone
    drawn = {name: inline(name, chart) for name, chart in _of_trial(shown["trial"], looks, config).items()}
    page = _templates(zone).get_template("trial.html")
    return page.render(
        **shown, timezone=shown["task"]["timezone"], style=_style(), pictures=drawn, afterwards=late(afterwards)
    )


def late(afterwards: Evidence | None) -> dict[str, Any] | None:
    """What late labels change, as the page shows it; None where nobody asked."""
    if afterwards is None:
        return None
    bounds = {key: afterwards.numbers.get(key) for key in ("estimate", "lower", "upper")}
    return {"sentence": afterwards.sentence, "verdict": afterwards.verdict, **bounds}


def picture_of(looks: Sequence[Evidence], config: Config) -> drawing.Chart:
    """A trial's picture with its verdict above it, to stand alone."""
    live = config.live
    return charts.trial(looks, live.min_gain, config.zone, smallest_effect=live.smallest_effect, verdict=True)


def _of_trial(shown: Mapping[str, Any], looks: Sequence[Evidence], config: Config) -> dict[str, drawing.Chart]:
    drawn: dict[str, drawing.Chart] = {}
    live = config.live
    if has_gain(looks):
        drawn["trial"] = charts.trial(looks, live.min_gain, config.zone, smallest_effect=live.smallest_effect)
    if looks and charts.has_guardrails(looks[-1]):
        drawn["guardrails"] = charts.guardrails(looks[-1])
    if shown["segments"] and shown["segments"]["segments"]:
        drawn["segments"] = charts.segments(shown["segments"])
    return drawn


def has_gain(looks: Sequence[Evidence]) -> bool:
    """Has any look of the last phase a gain to draw?"""
    return any(gain is not None for _, gain, _, _ in points(looks))


def _templates(zone: tzinfo) -> Environment:
    templates = Environment(
        loader=ChoiceLoader([PackageLoader("incumbent", "templates"), PackageLoader("incumbent.web")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters |= {
        "day": partial(words.day, zone=zone),
        "when": partial(words.when, zone=zone),
        "signed": words.signed,
        "iso": words.iso,
        "number": words.number,
        "percent": words.percent,
        "phrase": words.phrase,
        "loss": _loss,
        "month": _month,
        "short": _short,
    }
    return templates


def _style() -> Markup:
    return Markup(files("incumbent.web").joinpath("static", "style.css").read_text(encoding="utf-8"))


def _charts(report: Report, zone: tzinfo) -> dict[str, drawing.Chart]:
    drawn: dict[str, drawing.Chart] = {}
    months: list[MonthRow] = [month for month in report.months if month.loss]
    if months:
        drawn["policies"] = charts.policies(months, report.policies, report.metric)
    if any(event.type == "Promoted" for event in report.events):
        drawn["incumbents"] = charts.incumbents(report.events, zone)
    for place, looks in enumerate(report.looks):
        drawn[f"trial-{place}"] = charts.trial(looks, report.min_gain, zone)
    if report.expectation is not None and report.expectation.numbers["curve"]["points"]:
        drawn["expect"] = charts.expectation(report.expectation)
    if report.rungs:
        drawn["latency"] = charts.latency(report.rungs, report.budget_ms)
    return drawn


def inline(name: str, chart: drawing.Chart) -> Markup:
    """Both drawings of a chart; the stylesheet shows one. Their ids are made different, for they share a page."""
    parts = []
    for theme, drawn in drawing.both(chart).items():
        own = _ID.sub(rf"\g<1>{name}-{theme}-", drawn.decode())
        parts.append(f'<div class="drawn-{theme}">{own}</div>')
    return Markup("".join(parts))


def _loss(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _short(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"


def _month(name: str) -> str:
    """A month in words.

    >>> _month("2013-04")
    'April 2013'
    """
    return datetime.strptime(name, "%Y-%m").strftime("%B %Y")
