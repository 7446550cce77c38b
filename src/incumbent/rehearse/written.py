"""A rehearsal's summary as tables for the terminal and as the report's page. Computes nothing."""

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from incumbent.charts import rungs
from incumbent.loop.delivered import Delivered, delivered
from incumbent.loop.fold import evidence_from_dict
from incumbent.project import Project
from incumbent.records import Evidence, micros
from incumbent.rehearse.summary import LOOP, PRIOR, SHIPPED, UNTOUCHED, Summary
from incumbent.report import Broken, Decided, Report, Totals

POLICIES = {LOOP: "the loop", SHIPPED: "always ship", PRIOR: "prior", UNTOUCHED: "untouched"}
Table = tuple[str, Sequence[str], Sequence[Sequence[Any]]]


def tables(summary: Summary) -> Iterator[Table]:
    """(title, heads, rows) of each closing table."""
    order = (PRIOR, UNTOUCHED, SHIPPED, LOOP)
    heads = ["month", "rows", summary.truth, *(POLICIES[name] for name in order), "share of the gain"]
    rows = [
        [m.name, m.rows, m.mean_truth, *(m.loss.get(name) for name in order), _percent(m.gain_kept)]
        for m in summary.months
    ]
    rows.append(["mean", sum(m.rows for m in summary.months), None, *(summary.overall.get(name) for name in order), ""])
    yield (
        f"{summary.metric} by month (the share of the prior's loss that the loop takes away, last)",
        heads,
        _rounded(rows),
    )
    yield "Recipes", ["what is compared"], [[said] for said in summary.recipes]
    for table in summary.trials:
        yield "Split trial", table[0], table[1:]
    yield "Decisions", ["day", "what"], [[d["at"][:10], d["sentence"]] for d in summary.decisions]
    totals = summary.totals
    yield "Totals", ["", ""], [
        ["requests", f"{totals.requests:,}"], ["rows", f"{totals.rows:,}"], ["failed requests", totals.failed],
        ["predictions lost", totals.lost], ["answers without a version", totals.without_version],
        ["outcomes", f"{totals.outcomes:,}"], ["fallbacks", totals.fallbacks],
        ["request p50, p99", f"{totals.request_p50_ms:.1f}, {totals.request_p99_ms:.1f} ms"],
        ["model's part p50, p99", f"{totals.row_p50_ms:.2f}, {totals.row_p99_ms:.2f} ms"],
        ["seconds", f"{totals.seconds:.0f}"], ["digest of the decisions", summary.decisions_digest[:16]],
    ]  # fmt: skip


def report(summary: Summary, project: Project) -> Report:
    """What the page shows, with the events and looks that its pictures need."""
    events = project.facts.ledger.events()
    known = [evidence_from_dict(e.data["evidence"], e.measured) for e in events if e.data.get("evidence")]
    looks: dict[tuple[str, int], list[Evidence]] = {}
    for one in known:
        if one.step == "live" and one.numbers.get("mode") in ("split", "shadow"):
            looks.setdefault((one.numbers["trial"], one.numbers["phase"]), []).append(one)
    split = [of_one[-1] for of_one in looks.values() if of_one[-1].numbers["mode"] == "split"]
    decided = [_decided(one) for one in summary.decisions]
    return Report(
        task=summary.task,
        mean_truth=summary.truth, headline=headline(summary), metric=summary.metric,
        timezone=project.config.task.timezone or "UTC", months=summary.months, policies=POLICIES,
        overall=summary.overall,
        totals=Totals(summary.totals.requests, summary.totals.rows, summary.totals.lost, summary.totals.failed,
                      summary.totals.request_p99_ms, summary.totals.seconds),
        events=events, looks=list(looks.values()), split=summary.trials[-1] if summary.trials else (),
        split_sentence=split[-1].sentence if split else "", decisions=decided,
        refused=[_decided(one) for one in summary.decisions if one["type"] in ("RetrainRefused", "RolledBack")],
        broken=[Broken(what, caught, how) for what, caught, how in summary.broken_feeds],
        rungs=rungs(known), budget_ms=project.config.plan.latency_budget_ms,
        expected=list(_expected(delivered(project.config, events, project.roles(), project.facts.log))),
        expectation=next((one for one in reversed(known) if one.step == "expect"), None),
        min_gain=project.config.live.min_gain, notes=(*summary.onset, *summary.recipes),
    )  # fmt: skip


def _expected(value: Delivered) -> Iterator[tuple[str, float | None, str]]:
    """What was expected at the onset, and what was delivered: (what, value of the metric, where it is from)."""
    if value.expected_at is None:
        return
    ceiling = "a perfect score" if value.ceiling is None else "what equal rows leave to chance"
    reached = {True: ": reaches the goal", False: ": short of the goal", None: ""}
    yield "Floor", value.floor, f"the best naive rule, {value.floor_name}"
    yield "Quick model", value.quick, "small boosted trees, at the onset"
    yield "Goal", value.goal, f"the team's; it was called {(value.verdict or '').replace('_', ' ')} at the onset"
    yield "Ceiling", value.perfect if value.ceiling is None else value.ceiling, ceiling
    yield f"{value.incumbent}, held out", value.held_out, f"at its gate{reached[value.reaches(value.held_out)]}"
    yield (
        f"{value.incumbent}, live", value.live,
        f"{value.live_rows:,} labelled answers of its latest 28 days{reached[value.reaches(value.live)]}",
    )  # fmt: skip


def headline(summary: Summary) -> str:
    """The outcome in one sentence."""
    mean = summary.overall
    if LOOP not in mean or SHIPPED not in mean:
        return f"{summary.totals.rows:,} rows answered from {summary.since} to {summary.until}."
    feeds = ", with two retraining feeds broken on purpose" if summary.faults else ""
    return (
        f"{summary.totals.rows:,} rows answered from {summary.since} to {summary.until}{feeds}: mean {summary.metric} "
        f"{mean[LOOP]:.4f} by the loop, {mean[SHIPPED]:.4f} by always shipping the retrained model, "
        f"{mean[UNTOUCHED]:.4f} by the untouched one, {mean[PRIOR]:.4f} by the prior."
    )


def _decided(one: Any) -> Decided:
    at = micros(datetime.fromisoformat(one["at"]))
    return Decided(
        at, " ".join(re.findall("[A-Z][a-z]*", one["type"])).capitalize(), str(one["subject"] or ""), one["sentence"]
    )


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"


def _rounded(rows: list[list[Any]]) -> list[list[Any]]:
    return [[f"{v:.4f}" if isinstance(v, float) else v for v in row] for row in rows]
