"""Project.live: shadow and split trials, and the watch over a replaced version.

In: sums that the log keeps. Out: evidence of each look, and the move that follows from it. A look is made in `looking`
(again in `replaying`), the decision in `loop.decide`; here they are put together and appended. A move is compared with
the roles that were judged: where anything came in between, it is decided anew.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from incumbent.errors import DecisionRefused, IncumbentError, LedgerConflict
from incumbent.loop import decide, outcome, promote, starting, steering
from incumbent.loop.steering import Move
from incumbent.project import decisions, looking, owing, replaying, traffic
from incumbent.project.looking import Rules
from incumbent.project.replaying import Repeated
from incumbent.records import Decision, Event, Evidence, Micros, Roles, Trial, Version
from incumbent.steps.live import looks, sums
from incumbent.steps.live.trial import BLOCK
from incumbent.steps.live.watch import judge_watch

if TYPE_CHECKING:
    from incumbent.project.project import Project

ROUNDS = 3
"""So often a turn decides anew, where somebody else appended meanwhile; then the next turn does."""


class Live:
    """Step 3 of a project."""

    def __init__(self, project: "Project") -> None:
        self.project = project
        self._seen = looking.Seen(project.facts.ledger)

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

        A split starts with the first step of `live.enrol`, in three arms where `live.third_arm` is set; a shadow scores
        every row. What one outcome counts at most is fixed now (`caps`). DecisionRefused when a trial runs already,
        when the challenger does not take every row that the incumbent takes, when a shadow is asked for although the
        label depends on what is served, or although another measure than the loss decides.
        """
        self._start(version, self.project.roles(), mode=mode, enrolled=enrolled, reason=reason, now=now)
        return self._running()

    def _start(
        self,
        version: str,
        roles: Roles,
        *,
        mode: Literal["shadow", "split"] | None,
        enrolled: float | None = None,
        reason: str,
        now: Micros | None,
    ) -> None:
        project = self.project
        starting.terms(project.config, mode, enrolled)
        project.predictor(version)
        starting.start(
            project.facts,
            roles,
            project.config,
            version,
            at=project.clock() if now is None else now,
            actor=project.actor,
            reason=reason,
            mode=mode,
            enrolled=enrolled,
        )

    def stop(self, reason: str, *, now: Micros | None = None) -> None:
        """End the running trial; the incumbent stays."""
        at = self.project.clock() if now is None else now
        promote.decide_trial(
            self.project.facts.ledger, self.project.roles(), "stopped", at=at, actor=self.project.actor, reason=reason
        )

    def enrol(self, share: float, reason: str, *, now: Micros | None = None) -> Trial:
        """Let more units take part (0-1), before the steps of `live.enrol` would. Nobody changes arm and what was seen
        stays in the decision. DecisionRefused for a lower share (that is a new `phase`) and in a shadow, which scores
        every row."""
        self._running()
        self._by_hand(Move("enrol", reason, enrolled=share), now)
        return self._running()

    def phase(self, enrolled: float | None, reason: str, *, now: Micros | None = None) -> Trial:
        """Begin the trial again, under a new salt: units are dealt anew, and what came before leaves the decision.

        The only way to a lower share. `enrolled` is the share that takes part (0-1), by default the present one; a
        shadow scores every row. Caps stay as they were fixed at the start. DecisionRefused without a reason."""
        self._running()
        self._by_hand(Move("phase", reason, enrolled=enrolled), now)
        return self._running()

    def _by_hand(self, move: Move, now: Micros | None) -> None:
        """A person's move on the trial: the same at every door."""
        project = self.project
        at = project.clock() if now is None else now

        def proves(version: Version) -> None:
            project.predictor(version.name)

        steering.make(move, project.facts, project.config, proves, at=at, actor=project.actor)

    def look(self, *, now: Micros | None = None) -> Evidence:
        """The running trial's evidence at this moment; records and decides nothing."""
        trial = self._running()
        return self._judge(self._rules(trial), self.project.clock() if now is None else now)

    def afterwards(self, trial: str | None = None, *, now: Micros | None = None) -> Evidence:
        """What an ended trial (the last one, if none is named) would say with every label that came since, and whether
        it would have been decided otherwise. Changes nothing. DecisionRefused where no such trial has ended."""
        return replaying.afterwards(self.project, trial, self.project.clock() if now is None else now)

    def replay(self, trial: str | None = None, *, last: int | None = None) -> list[Repeated]:
        """Every recorded look at a trial (the running or last one, if none is named) again from the log at its mark:
        is it the same, byte for byte? Each reads all rows of its phase; `last`: only the last so many looks.
        DecisionRefused where no look is recorded."""
        return replaying.replay(self.project, trial, last)

    @staticmethod
    def table(evidence: Evidence) -> list[tuple[str, str, str]]:
        """The evidence as rows under "Test group (challenger) | Control (incumbent)", heading first."""
        return looks.table(evidence)

    def act(self, now: Micros) -> list[Decision]:
        """Look at the trial and at the watch, record what was seen, and do what follows.

        LedgerConflict where others appended again and again meanwhile: nothing was decided on what is over.
        """
        return [*_anew(self._act_on_trial, now), *self.go_on(now), *_anew(self._act_on_watch, now)]

    def go_on(self, now: Micros) -> list[Decision]:
        """Start what a decision on the ledger still owes: the split after a shadow that won, the watch over a replaced
        version. A process may have died between the two, or another's event have come."""
        return _anew(self._go_on, now)

    # --- the trial

    def _running(self) -> Trial:
        running = self.project.roles().trial
        if running is None:
            raise DecisionRefused("no trial runs: start one with `incumbent live start VERSION`.")
        return running

    def _rules(self, trial: Trial) -> Rules:
        project = self.project
        return looking.rules(trial, project.config, project.metric, latency_decides=project.timings_decide)

    def _judge(self, under: Rules, now: Micros) -> Evidence:
        return looking.now(self.project.facts.log, under, now, self._seen.last(under.trial.name))

    def _act_on_trial(self, now: Micros) -> list[Decision]:
        project = self.project
        roles = project.roles()
        if roles.trial is None:
            return []
        signature = roles.versions[roles.trial.incumbent].signature
        outcome.settle(project.facts.log, signature, project.metric)  # no label waits for its loss
        under = self._rules(roles.trial)
        evidence = self._judge(under, now)
        ledger, actor = project.facts.ledger, project.actor
        decision = decide.trial(evidence, roles, project.config)
        before = self._seen.last(roles.trial.name)
        same_phase = before if looks.of_phase(before, roles.trial) else None
        if not looks.worth_recording(evidence, same_phase, acts=decision.action is not None):
            return [decision]
        project.facts.blobs.put(under.to_bytes())  # the evidence names its hash
        if decision.action == "Promoted":
            project.promote(decision.subject, decision.reason, evidence=evidence, now=now, roles=roles)
        elif decision.action == "TrialDecided":
            promote.decide_trial(
                ledger, roles, decision.verdict, at=now, actor=actor, reason=decision.reason, evidence=evidence
            )
        else:
            promote.record(ledger, evidence, actor=actor)
            if decision.action == "EnrolmentRaised":
                share = decide.next_enrolment(evidence, roles.trial, project.config.live)
                assert share is not None
                promote.raise_enrolment(
                    ledger, _recorded(roles), share, at=now, actor=actor, reason=decision.reason
                )
        return [decision]

    def _go_on(self, now: Micros) -> list[Decision]:
        project = self.project
        roles, events = project.roles(), project.facts.ledger.events(types=owing.TYPES)
        won = owing.split(events, roles, project.config.live)
        if won is not None:
            try:
                self._start(won.subject, roles, mode="split", reason=won.sentence, now=now)
            except LedgerConflict:
                raise
            except IncumbentError as error:  # said at each tick, which goes on with the rest of its work
                return [Decision(won.verdict, won.subject, f"The split of {won.subject} cannot start: {error}")]
        replaced = owing.watch(events, roles, project.config.retrain, now)
        if replaced is not None:
            self._watch(replaced, roles, now)
        return []

    # --- the watch

    def watch(self, version: str | None, now: Micros) -> None:
        """Score a replaced version beside its successor for a while, so that it can come back by itself."""
        roles = self.project.roles()
        if version is not None and version != roles.baseline and self.project.config.retrain.watch_days:
            self._watch(version, roles, now)

    def _watch(self, version: str, roles: Roles, now: Micros) -> None:
        project = self.project
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
            project.rollback(decision.reason, evidence=evidence, now=now, roles=roles)
        elif decision.action == "Promoted":
            project.promote(decision.subject, decision.reason, evidence=evidence, now=now, roles=roles)
        elif decision.action == "WatchStopped":
            promote.record(project.facts.ledger, evidence, actor=project.actor)
            promote.stop_watching(
                project.facts.ledger, _recorded(roles), at=now, actor=project.actor, reason=decision.reason
            )
        return [decision] if decision.action else []

    def _judge_watch(self, roles: Roles, watched: str, since: Micros, now: Micros) -> Evidence:
        project = self.project
        window = sums.window(project.config.live)
        blocks = project.facts.log.block_sums(str(roles.incumbent), watched, BLOCK, since, now - window, now)
        return judge_watch(
            watched,
            str(roles.incumbent),
            blocks,
            project.config.live,
            project.metric,
            now,
            since=since,
            watch_days=project.config.retrain.watch_days,
            before=self._seen.last(f"watch-{watched}-{since}"),
        )

    def _started(self, type: str, version: str) -> Micros:
        events: list[Event] = self.project.facts.ledger.events(types=[type])
        return max(event.at for event in events if event.data["version"] == version)

    # --- before a trial

    def plan(self, version: str | None = None, *, effect: float | None = None, now: Micros | None = None) -> Evidence:
        """What a trial could show, in days, from logged traffic: see `project.traffic`. Starts nothing."""
        return traffic.plan(self.project, version, effect, self.project.clock() if now is None else now)

    def lookback(self, version: str, *, outcome: str | None = None, now: Micros | None = None) -> Evidence:
        """What a version would have earned on the log, had it answered everybody: see `project.decisions`."""
        return decisions.lookback(self.project, version, outcome, self.project.clock() if now is None else now)


def _anew(act: Callable[[Micros], list[Decision]], now: Micros) -> list[Decision]:
    """Fold, judge and move; all of it again where somebody else appended in between."""
    for _ in range(ROUNDS - 1):
        try:
            return act(now)
        except LedgerConflict:
            continue
    return act(now)


def _recorded(roles: Roles) -> Roles:
    """The roles that were judged, and the one event more that records what was seen."""
    return replace(roles, sequence=roles.sequence + 1)
