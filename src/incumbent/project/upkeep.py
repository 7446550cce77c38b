"""Project.upkeep: the tick. What is due is said, done and written down; running it twice changes nothing more.

In: the ledger, the log, the user's `load` and `train`. Out: decisions that were acted on. A refit sees only rows whose
label was known by then; it is judged on rows as they were served, whatever the feed says of them.
"""

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from incumbent.errors import NotEnoughData, StoreLocked
from incumbent.loop import decide, keep, outcome, promote
from incumbent.project import asking
from incumbent.project.rows import Rows
from incumbent.project.served import joined, served_rows
from incumbent.project.ticking import Ticker
from incumbent.records import DAY, Decision, Evidence, Micros, Roles, moment
from incumbent.runtimes import artefact
from incumbent.stats.drift import Profile
from incumbent.steps.live.trial import BLOCK
from incumbent.steps.live.watch import judge_record
from incumbent.steps.upkeep import retrain, review
from incumbent.steps.upkeep import rows as checks

if TYPE_CHECKING:
    from incumbent.project.project import Project

Feed = Callable[[Any, datetime], Any]
LEASE_S = 600.0
FEWEST_SERVED = 200
MOST_PAIRS = 20_000


class Upkeep:
    """Step 5 of a project. `feed`, where set, stands between the assembled rows and the refit (a rehearsal's fault)."""

    def __init__(self, project: "Project") -> None:
        self.project = project
        self.feed: Feed | None = None
        self._served: tuple[Micros, Rows | None] = (-1, None)
        self._watched_at: Micros | None = None

    def tick(self, *, now: Micros | None = None) -> list[Decision]:
        """Look at the trial and the watch, refit what is due, draw rows for review, move and delete old days; the
        decisions that were made.

        One ticker at a time: StoreLocked while another process has the lease.
        """
        project = self.project
        now = project.clock() if now is None else now
        with self._alone():
            decisions = self._tick(now)
            keep.tick(project.facts, project.roles().versions, project.config, now, project.actor)
            return decisions

    def look(self, *, now: Micros | None = None) -> list[Decision]:
        """What of a tick outcomes call for: the trial, the watch, and what follows. StoreLocked as there."""
        with self._alone():
            return self._act(self.project.clock() if now is None else now)

    def ticker(self, clock: Literal["wall", "replay"] = "wall") -> Ticker:
        """What ticks for good, and looks at a trial between two ticks."""
        return Ticker(self.project, clock)

    def due(self, now: Micros) -> list[retrain.Due]:
        """What asks for a refit; nothing where there is no code to refit with."""
        project = self.project
        if project.code is None:
            return []
        past = retrain.history(project.facts.ledger.events())
        return retrain.due(past, project.config.retrain, now, project.config.zone)

    def falls_due(self, at: Micros) -> bool:
        """Is `at` a point of the cadence, whatever was refitted or refused in the meantime?"""
        past = retrain.history(self.project.facts.ledger.events())
        return retrain.next_due(past, self.project.config.retrain, at - 1, self.project.config.zone) == at

    def recipe(self) -> str:
        """The function that a refit calls: the incumbent's own where the code still has it, else `retrain.recipe`."""
        project, roles = self.project, self.project.roles()
        if roles.incumbent and project.code is not None:
            name = roles.versions[roles.incumbent].recipe.split("@")[0]
            if project.code.has(name):
                return name
        return project.config.retrain.recipe

    def training_rows(self, now: Micros) -> Rows:
        """The rows of a refit, as `retrain.source` says and as the feed delivers them: labelled before `now`."""
        return self._fed(self._assembled(now), now)

    def logged(self, now: Micros, *, since: Micros | None = None, labelled: bool | None = True) -> Rows | None:
        """Rows as they were served; None when the log holds none, or holds a feature of them hashed (task.private)."""
        project = self.project
        if project.facts.log.totals().predictions == 0 or project.code is None:
            return None
        like = project.rows(now)
        if set(project.config.task.private) & set(project.signature(like).names):
            return None  # a private feature is in the log as a hash: nothing can be trained or judged on it
        return served_rows(project.facts.log, like, project.signature(like), now, since=since, labelled=labelled)

    def _labelled_log(self, now: Micros) -> Rows | None:
        """Every labelled row of the log at this moment, read once a moment: a refit asks for it several times."""
        if self._served[0] != now:
            self._served = (now, self.logged(now))
        return self._served[1]

    # --- the tick

    @contextmanager
    def _alone(self) -> Iterator[None]:
        ledger, holder = self.project.facts.ledger, f"{socket.gethostname()}/{os.getpid()}"
        if not ledger.lease("tick", holder, LEASE_S):
            raise StoreLocked("another process is ticking on this store: wait for it, or stop it")
        try:
            yield
        finally:
            ledger.release("tick", holder)

    def _act(self, now: Micros) -> list[Decision]:
        project = self.project
        roles = project.roles()
        if roles.incumbent is None:
            return []
        outcome.settle(project.facts.log, roles.versions[roles.incumbent].signature, project.metric)
        return project.live.act(now)

    def _tick(self, now: Micros) -> list[Decision]:
        project = self.project
        roles = project.roles()
        if roles.incumbent is None:
            return []
        if self._watched_at is None or now - self._watched_at >= asking.HOUR:
            asking.watch(project, roles, now)
            self._watched_at = now
        decisions = self._act(now)
        if project.roles().trial is None:  # a new incumbent would take the trial's question away: the refit waits
            decisions += [self._refit(cause, now) for cause in self.due(now)[:1]]
        self._draw_reviews(now)
        return decisions

    def _refit(self, cause: retrain.Due, now: Micros) -> Decision:
        """Check the rows, gate the recipe on a fit without the last days, and go on as a refresh or a new recipe."""
        project, ledger, actor = self.project, self.project.facts.ledger, self.project.actor
        promote.request_retrain(ledger, cause.cause, at=now, actor=actor, reason=cause.sentence)
        recipe = self.recipe()
        assembled = self._assembled(now)
        fed = self._fed(assembled, now)
        checked = self._check(fed, assembled, recipe, now)
        promote.record(ledger, checked, actor=actor)
        problems = [one["sentence"] for one in checked.numbers["checks"] if one["blocks"]]
        if problems:
            promote.alarm(ledger, "broken_feed", at=now, actor=actor, reason="; ".join(problems), evidence=checked)
        refresh = self._earned(recipe)
        try:
            gated = project.gate.recipe(recipe, fed, now, refresh=refresh, holdout=self._as_served(assembled))
        except NotEnoughData as error:
            return self._refused(cause, Decision("not_enough_data", recipe, str(error)), checked, now)
        promote.record(ledger, gated, actor=actor)
        roles = project.roles()
        if refresh:
            decision = decide.refresh(
                gated, roles, project.config, refit=recipe, record=self._record(recipe, now), problems=problems
            )
        else:
            decision = decide.gate(gated, roles, project.config, traffic=True)
        if problems or decision.action in (None, "RetrainRefused"):
            return self._refused(cause, decision, checked if problems else gated, now)
        return self._registered(recipe, fed, decision, gated, roles, now)

    def _registered(
        self, recipe: str, fed: Rows, decision: Decision, gated: Evidence, roles: Roles, now: Micros
    ) -> Decision:
        """Fit on every row, register, and put the version where the decision wants it."""
        project = self.project
        version = project.fit(recipe, fed, now=now)
        reason = decision.reason.replace(gated.subject, version.name)
        if decision.action == "TrialStarted":
            project.live.start(version.name, reason=reason, now=now)
        else:
            project.promote(version.name, reason, evidence=gated, now=now)
            project.live.go_on(now)
        return Decision(decision.verdict, version.name, reason, decision.evidence, decision.action)

    def _refused(self, cause: retrain.Due, decision: Decision, evidence: Evidence, now: Micros) -> Decision:
        project = self.project
        promote.refuse_retrain(
            project.facts.ledger, cause.cause, at=now, actor=project.actor, reason=decision.reason, evidence=evidence
        )
        return Decision("hold", decision.subject, decision.reason, decision.evidence, "RetrainRefused")

    # --- what a refit is judged by

    def _earned(self, recipe: str) -> bool:
        """Has a version of this recipe been the incumbent? Then a refit on newer rows is a refresh."""
        project = self.project
        versions = project.roles().versions
        promoted = {event.data["version"] for event in project.facts.ledger.events(types=["Promoted"])}
        return any(versions[name].recipe.split("@")[0] == recipe for name in promoted)

    def _as_served(self, assembled: Rows) -> Rows | None:
        """The held-out rows as the log has them (before any feed); None where too few of them were served."""
        settings, config = self.project.config.retrain, self.project.config
        if not config.task.time or self.project.facts.log.totals().predictions == 0:
            return None
        _, held_out = self.project.gate.split(assembled, settings.holdout_days)
        first = self.project.facts.log.totals().first_at
        served = held_out.between(first, None)
        return served if len(served) >= FEWEST_SERVED else None

    def _check(self, fed: Rows, assembled: Rows, recipe: str, now: Micros) -> Evidence:
        """Are the rows whole? Row by row against the log where they were served, else by their distribution."""
        project = self.project
        roles = project.roles()
        stored = artefact.profile(project.facts.blobs, roles.versions[str(roles.incumbent)].manifest) or {}
        profiles = {name: Profile.from_dict(one) for name, one in stored.items()}
        signature = project.signature(fed)
        days = fed.days()
        return checks.check_rows(
            profiles, fed.columns(signature), f"rows of {recipe}", now, pairs=self._pairs(fed, now),
            labels=fed.truth(signature), partitions=days, classifies=signature.classifies,
        )  # fmt: skip

    def _pairs(self, fed: Rows, now: Micros) -> checks.Pairs | None:
        """The same rows as they were served and as they are fed, by id: evenly over all that were served."""
        project = self.project
        task = project.config.task
        if not task.id or task.id not in fed.frame.columns:
            return None
        served = self._labelled_log(now)
        if served is None:
            return None
        some = served.at_places(np.arange(0, len(served), max(1, len(served) // MOST_PAIRS)))
        places = {one: i for i, one in enumerate(fed.texts(task.id))}
        both = [(i, places[one]) for i, one in enumerate(some.texts(task.id)) if one in places]
        if not both:
            return None
        left, right = np.array(both, dtype=np.int64).T
        served, same = some.at_places(left), fed.at_places(right)
        signature = project.signature(same)
        labels = (served.truth(signature), same.truth(signature))
        return checks.Pairs(served.columns(signature), same.columns(signature), labels, same.days())

    def _record(self, recipe: str, now: Micros) -> Evidence:
        """Paired losses of each past refresh of the recipe against the version that it replaced."""
        project = self.project
        versions = project.roles().versions
        blocks = []
        for event in project.facts.ledger.events(types=["Promoted"]):
            new, old = event.data["version"], event.data["replaces"]
            if old in versions and versions[new].recipe == versions[old].recipe:
                blocks.append(project.facts.log.block_sums(old, new, BLOCK, event.at, now, now))
        return judge_record(recipe, blocks, project.config.live, now)

    # --- rows

    def _assembled(self, now: Micros) -> Rows:
        """Loaded rows, logged rows, or both, labelled before `now`, in the order of time."""
        project = self.project
        loaded = project.rows(now).labelled(now)
        source = project.config.retrain.source
        if source == "load":
            return loaded
        logged = self._labelled_log(now)
        if logged is None:
            return loaded
        sides = [(self._ids(one), one.at, one.known_at) for one in (logged, loaded)]
        from_log, from_load = retrain.choose_rows(
            sides[0], sides[1], source, now, max_rows=project.config.retrain.max_rows
        )
        return joined(loaded.at_places(from_load), logged.at_places(from_log))

    def _ids(self, rows: Rows) -> list[str | None]:
        task = self.project.config.task
        return rows.texts(task.id) if task.id and task.id in rows.frame.columns else [None] * len(rows)

    def _fed(self, rows: Rows, now: Micros) -> Rows:
        if self.feed is None:
            return rows
        return rows.as_fed(self.feed(rows.native(), moment(now))).labelled(now)

    # --- review

    def _draw_reviews(self, now: Micros) -> None:
        """Draw from the last day's rows that nobody drew before; the same rows again give the same draw."""
        project = self.project
        roles = project.roles()
        if not project.config.review.per_day:
            return
        rows = [row.prediction for batch in project.facts.log.scan(now - DAY, now) for row in batch]
        if not rows:
            return
        served = {row.id: row.served_by for row in rows}
        ids, times, outputs = zip(*((row.id, row.at, row.output) for row in rows), strict=True)
        drawn = review.draw(ids, times, outputs, str(roles.incumbent), project.config.review)
        project.facts.log.append_reviews([replace(one, version=served[one.id]) for one in drawn])
