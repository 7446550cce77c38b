"""The report of a rehearsal is one page that needs nothing beside it. Its values here are made up."""

import math
import re
from dataclasses import dataclass, replace

import pytest

from incumbent.charts import Rung
from incumbent.records import DAY, Event, Evidence, Micros
from incumbent.report import Broken, Decided, Report, Totals, html

APRIL: Micros = 1364788800 * 1_000_000  # 1 April 2013, midnight in New York
POLICIES = {"loop": "the loop", "always": "always ship", "prior": "the prior", "untouched": "untouched"}


@dataclass(frozen=True)
class Month:
    name: str
    rows: int
    labelled: int
    mean_truth: float
    loss: dict[str, float]
    gain_kept: float | None


def month(number: int) -> Month:
    prior = 0.17 + 0.02 * math.sin(number)
    losses = {"loop": prior - 0.012, "always": prior - 0.008, "prior": prior, "untouched": prior - 0.006}
    return Month(f"2013-{number:02d}", 27_000 + 100 * number, 26_400, 0.22, losses, 0.012 / prior)


def event(sequence: int, type: str, day: int, **data: object) -> Event:
    return Event(sequence, type, APRIL + day * DAY, 0, "tick", "a reason", data, {}, "", "")


def registered(sequence: int, name: str, day: int) -> Event:
    signature = {"columns": [], "kind": "binary", "classes": [False, True]}
    version = {"name": name, "runtime": "sklearn", "manifest": "", "signature": signature}
    return event(sequence, "VersionRegistered", day, version=version)


EVENTS = (
    registered(1, "v1", 0),
    event(2, "Promoted", 0, version="v1", replaces=None),
    registered(3, "v2", 1),
    event(4, "Promoted", 1, version="v2", replaces="v1"),
    event(5, "RetrainRefused", 60, cause="cadence"),
    registered(6, "v3", 90),
    event(7, "Promoted", 120, version="v3", replaces="v2"),
    event(8, "RolledBack", 150, version="v3", to="v2"),
    event(9, "AlarmRaised", 200, alarm="harm"),
)
LOOKS = [
    Evidence(
        "live", "v3", "continue" if i < 28 else "promote", "v3 is better.", APRIL + (90 + i) * DAY, "v2",
        {
            "trial": "t6", "metric": "brier", "estimate": 0.008,
            "lower": 0.008 - 0.03 / math.sqrt(i), "upper": 0.008 + 0.03 / math.sqrt(i),
        },
    )
    for i in range(1, 29)
]  # fmt: skip
REPORT = Report(
    task="flight-delay",
    headline="The loop kept 7 % of the baseline's loss away, and no request failed.",
    metric="brier",
    timezone="America/New_York",
    months=[month(number) for number in range(4, 13)],
    policies=POLICIES,
    overall={"loop": 0.1581, "always": 0.1623, "prior": 0.1702, "untouched": 0.1644},
    totals=Totals(6_600, 255_987, 0, 0, 14.2, 231.0),
    mean_truth="late rate",
    events=EVENTS,
    looks=[LOOKS],
    split=[
        ("", "Test group (challenger)", "Control (incumbent)"),
        ("version", "v3", "v2"),
        ("units", "1,204", "1,188"),
        ("mean brier", "0.15312", "0.16107"),
    ],
    split_sentence="v3 against v2 (split, look 28): the gain is at least 0.0023.",
    decisions=[Decided(APRIL + DAY, "promoted", "v2", "gain 0.0152, at least 0.0089")],
    refused=[Decided(APRIL + 60 * DAY, "retrain refused", "", "labels are <corrupted>, at most -0.011")],
    broken=[
        Broken("distance in kilometres instead of miles", True, "the checks of its rows found it", APRIL),
        Broken("a partition with corrupted labels", False, "the gate let it pass; the watch took it back"),
    ],
    rungs=[Rung("teacher", 9.2, 14.5), Rung("student, soft labels", 0.05, 0.09), Rung("student", 0.05, 0.09)],
    budget_ms=1.0,
)


@pytest.fixture(scope="module")
def page() -> str:
    return html(REPORT)


def test_everything_is_told(page: str) -> None:
    """Headline, months, the split trial's heading, faults, refusals, decisions and speed are there."""
    told = (
        "The loop kept 7 %", "April 2013", "December 2013", "0.1581", "Test group (challenger)",
        "Control (incumbent)", "distance in kilometres", "not caught", "&lt;corrupted&gt;", "at least 0.0089",
        "14.5 ms", "late rate",
    )  # fmt: skip
    assert [text for text in told if text not in page] == []


def test_it_needs_nothing_beside_it(page: str) -> None:
    """No script, no address but the name of the SVG format, nothing that a browser would fetch."""
    addresses = set(re.findall(r"https?://[^\"'\s<)]+", page))
    assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert "<script" not in page
    assert re.findall(r"<(?:link|img|source)[^>]+(?:href|src)=\"(?!data:)", page) == []


def test_pictures_on_one_page_do_not_share_ids(page: str) -> None:
    """Light and dark drawings lie side by side, so each id occurs once and each reference has its target."""
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r"url\(#([^)]+)\)", page)) <= set(ids)


def test_what_was_expected_stands_beside_what_was_delivered() -> None:
    """Rows in their order, with a dash for what is not known."""
    rows = [("Floor", 0.1672, "the best naive rule"), ("v3, live", None, "0 labelled answers")]
    shown = html(replace(REPORT, expected=rows))
    assert "Expected and delivered" in shown and "0.1672" in shown and ">–</td><td>0 labelled" in shown
    assert "Expected and delivered" not in html(REPORT)


@pytest.mark.parametrize("name", ["split", "decisions", "refused", "broken", "rungs", "looks", "events", "months"])
def test_what_was_not_there_is_left_out(name: str) -> None:
    """A rehearsal without trial, faults or speed still has a report."""
    assert "The loop kept 7 %" in html(replace(REPORT, **{name: ()}))
