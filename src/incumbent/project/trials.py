"""Project.live: shadow and split trials, and the watch over a replaced version.

In: sums that the log keeps. Out: evidence of each look, and the move that follows from it. The bounds come from
`steps.live.trial`, the decision from `loop.decide`; here they are put together and appended.
"""

from typing import TYPE_CHECKING, Literal

from incumbent.errors import DecisionRefused
from incumbent.loop import decide, promote, starting
from incumbent.loop.fold import evidence_from_dict
from incumbent.records import SECOND, Decision, Event, Evidence, Micros, Roles, Trial
from incumbent.steps.live import trial as looks

if TYPE_CHECKING:
    from incumbent.project.project import Project

LOOKS = ("EvidenceRecorded",)


class Live:
    """Step 3 of a project."""

    def __init__(self, project: "Project") -> None:
        self.project = project

    def start(
        self,
        version: str,
        *,
        mode: Literal["shadow", "split"] | None = None,
        enrolled: float | None = None,
        reason: str = "",
        now: Micros | None = None,
    ) -> Trial:
        """Start a trial of `version` against the incumbent.

        A split starts with the first step of `live.enrol`; a shadow scores every row. DecisionRefused when a trial
        runs already, or when a shadow is asked for although the label depends on what is served.
        """
        project = self.project
        starting.terms(project.config, mode, enrolled)
        project.predictor(version)
        starting.start(
            project.facts,
            project.roles(),
            project.config,
            version,
            at=project.clock() if now is None else now,
            actor=project.actor,
            reason=reason,
            mode=mode,
            enrolled=enrolled,
            caps={},
        )
        trial = project.roles().trial
        assert trial is not None
        return trial

    def stop(self, reason: str, *, now: Micros | None = None) -> None:
        """End the running trial; the incumbent stays."""
        at = self.project.clock() if now is None else now
        promote.decide_trial(
            self.project.facts.ledger, self.project.roles(), "stopped", at=at, actor=self.project.actor, reason=reason
        )

    def look(self, *, now: Micros | None = None) -> Evidence:
        """The running trial's evidence at this moment; changes nothing."""
        roles = self.project.roles()
        if roles.trial is None:
            raise DecisionRefused("no trial runs: start one with `incumbent live start VERSION`.")
        at = self.project.clock() if now is None else now
        return self._judge(roles, roles.trial, at)

    @staticmethod
    def table(evidence: Evidence) -> list[tuple[str, str, str]]:
        """The evidence as rows under "Test group (challenger) | Control (incumbent)", heading first."""
        return looks.table(evidence)

    def act(self, now: Micros) -> list[Decision]:
        """Look at the trial and at the watch, record what was seen, and do what follows."""
        return [*self._act_on_trial(now), *self._act_on_watch(now)]

    # --- the trial

    def _judge(self, roles: Roles, trial: Trial, now: Micros) -> Evidence:
        project = self.project
        log, live = project.facts.log, project.config.live
        window = self._window()
        before = self._last_look(trial.name)
        if trial.mode == "split":
            units = log.unit_sums(trial.name, trial.phase, now, now, window)
            return looks.judge_split(trial, units, live, project.metric, now, before=before)
        blocks = log.block_sums(
            trial.incumbent, trial.challenger, looks.BLOCK, trial.phase_started_at, now - window, now
        )
        failures = log.shadow_failures(trial.challenger, trial.phase_started_at)
        return looks.judge_shadow(trial, blocks, live, project.metric, now, failures=failures, before=before)

    def _act_on_trial(self, now: Micros) -> list[Decision]:
        project = self.project
        roles = project.roles()
        if roles.trial is None:
            return []
        evidence = self._judge(roles, roles.trial, now)
        ledger, actor = project.facts.ledger, project.actor
        decision = decide.trial(evidence, roles, project.config)
        if decision.action == "Promoted" and roles.trial.mode == "shadow" and project.config.live.mode == "both":
            said = f"{decision.reason} It goes on to a split."
            promote.decide_trial(ledger, roles, "promote", at=now, actor=actor, reason=said, evidence=evidence)
            self.start(decision.subject, mode="split", reason=decision.reason, now=now)
        elif decision.action == "Promoted":
            replaced = roles.incumbent
            project.promote(decision.subject, decision.reason, evidence=evidence, now=now)
            self.watch(replaced, now)
        elif decision.action == "TrialDecided":
            promote.decide_trial(
                ledger, roles, decision.verdict, at=now, actor=actor, reason=decision.reason, evidence=evidence
            )
        else:
            promote.record(ledger, evidence, actor=actor)
            if decision.action == "EnrolmentRaised":
                share = decide.next_enrolment(evidence, roles.trial, project.config.live)
                assert share is not None
                promote.raise_enrolment(ledger, project.roles(), share, at=now, actor=actor, reason=decision.reason)
        return [decision]

    # --- the watch

    def watch(self, version: str | None, now: Micros) -> None:
        """Score a replaced version beside its successor for a while, so that it can come back by itself."""
        project = self.project
        roles = project.roles()
        if version is None or version == roles.baseline or not project.config.retrain.watch_days:
            return
        promote.watch(
            project.facts.ledger,
            roles,
            version,
            at=now,
            actor=project.actor,
            reason=f"for {project.config.retrain.watch_days} days, to come back if it is shown better",
        )

    def _act_on_watch(self, now: Micros) -> list[Decision]:
        project = self.project
        roles = project.roles()
        if roles.watch is None or roles.incumbent is None:
            return []
        since = self._started("WatchStarted", roles.watch)
        evidence = self._judge_watch(roles, roles.watch, since, now)
        decision = decide.watch(evidence, roles)
        if decision.action == "RolledBack":
            project.rollback(decision.reason, evidence=evidence, now=now)
        elif decision.action == "Promoted":
            project.promote(decision.subject, decision.reason, evidence=evidence, now=now)
        elif decision.action == "WatchStopped":
            promote.record(project.facts.ledger, evidence, actor=project.actor)
            promote.stop_watching(
                project.facts.ledger, project.roles(), at=now, actor=project.actor, reason=decision.reason
            )
        return [decision] if decision.action else []

    def _judge_watch(self, roles: Roles, watched: str, since: Micros, now: Micros) -> Evidence:
        project = self.project
        blocks = project.facts.log.block_sums(
            str(roles.incumbent), watched, looks.BLOCK, since, now - self._window(), now
        )
        return looks.judge_watch(
            watched,
            str(roles.incumbent),
            blocks,
            project.config.live,
            project.metric,
            now,
            since=since,
            watch_days=project.config.retrain.watch_days,
            before=self._last_look(f"watch-{watched}-{since}"),
        )

    def _window(self) -> Micros:
        """How long after a prediction its label counts."""
        return int(self.project.config.live.window_hours * 3600 * SECOND)

    # --- what was seen before

    def _last_look(self, trial: str) -> Evidence | None:
        for event in reversed(self.project.facts.ledger.events(types=LOOKS)):
            found = event.data.get("evidence", {})
            if found.get("numbers", {}).get("trial") == trial:
                return evidence_from_dict(found)
        return None

    def _started(self, type: str, version: str) -> Micros:
        events: list[Event] = self.project.facts.ledger.events(types=[type])
        return max(event.at for event in events if event.data["version"] == version)
