"""All evidence in, one decision out: what is to be done now, and why. Pure functions of evidence, roles and
settings.

In: an Evidence of a step, the Roles as the ledger tells them, the Config. Out: a Decision whose `action` is
the event that follows (None: nothing is to be done). Evidence about a situation that is over decides
nothing. Appends nothing: `loop.promote` does.
"""

from collections.abc import Sequence

from incumbent.config import Config, Live
from incumbent.records import SECOND, Decision, Evidence, Micros, Roles, Trial

HOUR: Micros = 3600 * SECOND
RAMP_ROWS = 100
SPLIT_SUSPECT = 0.01


def gate(evidence: Evidence, roles: Roles, config: Config, *, traffic: bool) -> Decision:
    """Step 2 is done: does the candidate go on? With live traffic to a trial, without any straight to its
    place.

    `gate.mode` dry_run and off let it pass whatever was found, and the reason says so. Without traffic there
    is nothing to try it on: it is promoted where `live.promote` is auto, else a person does it.
    """
    subject, mode = evidence.subject, config.gate.mode
    if subject == roles.incumbent:
        return _decided(evidence, None, f"{subject} is the incumbent already")
    if evidence.verdict != "ship" and mode == "enforce":
        return _decided(evidence, None, evidence.sentence)
    passed = "" if evidence.verdict == "ship" else f"gate.mode = {mode} lets it pass: "
    if traffic and roles.incumbent is not None:
        if roles.trial is not None:
            return _decided(evidence, None, f"{subject} waits: trial {roles.trial.name} is running")
        return _decided(evidence, "TrialStarted", f"{passed}{evidence.sentence}")
    if config.live.promote != "auto" and roles.incumbent is not None:
        return _decided(
            evidence, None, f"{passed}{subject} may go live; live.promote = manual leaves it to a person"
        )
    return _decided(evidence, "Promoted", f"{passed}{evidence.sentence}")


def trial(evidence: Evidence, roles: Roles, config: Config) -> Decision:
    """Step 3 looked at the trial. invalid, roll_back and stop end it (the incumbent stays); promote promotes
    where `live.promote` is auto and otherwise waits for a person, and ends a shadow that goes on to a split
    (`live.mode` both: that promotes nobody); continue may enrol more units (`next_enrolment`)."""
    running = roles.trial
    if running is None or not _is_about(evidence, running):
        return _decided(evidence, None, "this evidence is about a trial that does not run (any more)")
    if evidence.verdict in ("invalid", "roll_back", "stop"):
        return _decided(evidence, "TrialDecided", evidence.sentence)
    if evidence.verdict == "promote":
        if running.mode == "shadow" and config.live.mode == "both":
            return _decided(evidence, "TrialDecided", f"{evidence.sentence} It goes on to a split.")
        if config.live.promote == "auto":
            return _decided(evidence, "Promoted", evidence.sentence)
        return _decided(evidence, None, f"{evidence.sentence} live.promote = manual leaves it to a person.")
    share = next_enrolment(evidence, running, config.live)
    if share is not None:
        return _decided(
            evidence, "EnrolmentRaised", f"no harm shown: {100 * share:.4g} % of the units may take part"
        )
    return _decided(evidence, None, evidence.sentence)


def next_enrolment(evidence: Evidence, running: Trial, live: Live) -> float | None:
    """The next step of `live.enrol`, or None while the trial stays where it is.

    Each step lasts at least `live.ramp_hours`; then 100 answered rows an arm and a split that is not suspect
    are asked for. Harm has its own verdict and never comes here.
    """
    if running.mode != "split" or evidence.verdict != "continue":
        return None
    numbers = evidence.numbers
    if evidence.at - numbers["enrolled_since"] < live.ramp_hours * HOUR:
        return None
    if min(numbers["rows"].values()) < RAMP_ROWS or numbers["split"]["p"] < SPLIT_SUSPECT:
        return None
    return min((share for share in live.enrol if share > running.enrolled), default=None)


def refresh(
    gated: Evidence,
    roles: Roles,
    config: Config,
    *,
    refit: str,
    record: Evidence | None = None,
    problems: Sequence[str] = (),
) -> Decision:
    """A refit of the incumbent's recipe on newer rows: a refresh is not a new recipe, and need not be shown
    better.

    `gated` is the gate's evidence about a fit that leaves out the last days, against the incumbent there.
    `record` is the evidence of past refreshes of this recipe, `problems` what the checks of its rows found.
    `refit` names the fit on all rows (the subject of the decision). Promoted at once where
    `retrain.auto_refresh` is true; refused when the rows are broken, the recipe is shown worse, or its
    record is shown harmful; nothing while it cannot be told.
    """
    evidence = (gated,) if record is None else (gated, record)
    refused = _refresh_refused(gated, record, problems)
    if refused:
        return Decision("hold", refit, refused, evidence, "RetrainRefused")
    if gated.reference != roles.incumbent:
        met = f"the recipe was compared with {gated.reference}, and {roles.incumbent} is the incumbent by now"
        return Decision("hold", refit, f"{met}: gate it again", evidence)
    reason = f"a refresh whose recipe is not shown worse ({_bounds(gated)})"
    if not config.retrain.auto_refresh:
        by_hand = f"{reason}; retrain.auto_refresh = false leaves it to a person"
        return Decision("ship", refit, by_hand, evidence)
    return Decision("ship", refit, reason, evidence, "Promoted")


def _refresh_refused(gated: Evidence, record: Evidence | None, problems: Sequence[str]) -> str | None:
    if problems:
        return f"its rows did not pass the checks: {'; '.join(problems)}"
    upper = gated.numbers.get("upper")
    if "upper" not in gated.numbers:
        return f"the recipe could not be compared: {gated.sentence}"
    if upper is not None and upper < 0.0:
        return f"the recipe is shown worse on the last days ({_bounds(gated)})"
    if record is not None and record.verdict == "roll_back":
        return record.sentence
    return None


def watch(evidence: Evidence, roles: Roles) -> Decision:
    """The replaced version beside its successor: shown better it comes back by itself, after its days it is
    let go."""
    if evidence.subject != roles.watch or evidence.reference != roles.incumbent:
        return _decided(evidence, None, "this evidence is about a watch that is over")
    if evidence.verdict == "roll_back":
        back = "RolledBack" if roles.previous == evidence.subject else "Promoted"
        return _decided(evidence, back, evidence.sentence)
    return _decided(evidence, "WatchStopped" if evidence.verdict == "stop" else None, evidence.sentence)


def _is_about(evidence: Evidence, running: Trial) -> bool:
    found = (
        evidence.subject,
        evidence.reference,
        evidence.numbers.get("trial"),
        evidence.numbers.get("phase"),
    )
    return found == (running.challenger, running.incumbent, running.name, running.phase)


def _decided(evidence: Evidence, action: str | None, reason: str) -> Decision:
    return Decision(evidence.verdict, evidence.subject, reason, (evidence,), action)


def _bounds(gated: Evidence) -> str:
    gain, upper = gated.numbers.get("gain"), gated.numbers.get("upper")
    most = "no upper bound yet" if upper is None else f"at most {upper:+.3g}"
    return most if gain is None else f"gain {gain:+.3g}, {most}"
