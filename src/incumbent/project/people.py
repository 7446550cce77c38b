"""Measured people for a project: rows are drawn, and people label them blind.

In: what `load` gives, the answers in the log. Out: a study on the ledger, then people as a version that is compared and
never routed. What is measured is `steps.baseline.people`'s; who labels which row is `loop.study`'s; whether a model may
replace them is `replacing`'s.
"""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import narwhals.stable.v1 as nw
import numpy as np

from incumbent.errors import ConfigError, DataError, DecisionRefused
from incumbent.loop import promote, study
from incumbent.loop.study import Item, Progress, Study
from incumbent.project import replacing
from incumbent.project.drawing import shown
from incumbent.project.rows import Rows
from incumbent.records import Evidence, Json, Label, Micros, Signature, Version
from incumbent.runtimes import artefact, frames
from incumbent.runtimes import people as runtime
from incumbent.runtimes import signature as signatures
from incumbent.runtimes.base import Columns
from incumbent.steps.baseline import people as step
from incumbent.steps.baseline.people import Answer, Measured, Settled

if TYPE_CHECKING:
    from incumbent.project.project import Project


@dataclass(frozen=True, slots=True)
class Gold:
    """What no page reads: the signature of the rows, their times, their labels as far as they were known, and a number
    for the unit of each (None: each row stands for itself)."""

    signature: Signature
    at: tuple[Micros, ...]
    labels: tuple[Label | None, ...]
    blocks: tuple[int, ...] | None = None


class People:
    """`project.people`: what people reach, before a model replaces them."""

    def __init__(self, project: "Project") -> None:
        self.project = project

    # --- a study

    def start(
        self,
        rows: Any = None,
        *,
        n: int | None = None,
        twice: float | None = None,
        seed: int = 0,
        reviewers: tuple[str, ...] | None = None,
        classes: tuple[Label, ...] = (),
        now: Micros | None = None,
    ) -> Study:
        """Draw `n` rows uniformly, `twice` (a share) of them for a second person too. Labels are not needed; where they
        are known they are the gold, and nobody sees them.

        `classes` are needed where no label is known and there is no version. `reviewers`: who labels; default:
        plan.reviewers; none: whoever comes. Raises DecisionRefused while another study runs, DataError without rows.
        """
        project, settings = self.project, self.project.config.people
        now = project.clock() if now is None else now
        roles = project.roles()
        running = study.running(project.facts.ledger)
        if running is not None:
            raise DecisionRefused(
                f"study {running.name} is running: finish it first (`incumbent baseline people finish`)"
            )
        known = project.rows(now) if rows is None else project.read(rows)
        n, share = settings.rows if n is None else n, settings.twice if twice is None else twice
        if n < 2 or not 0 <= share <= 1:
            raise ConfigError(f"found {n} rows, {share:g} of them twice; expected 2 or more, and a share from 0 to 1")
        if len(known) < 2:
            raise DataError(f"load gives {len(known)} rows, expected two at least for people to label")
        picked = np.random.default_rng(seed).permutation(len(known))[:n]
        signature = self._signature(known, classes)
        items, gold = self._drawn(known, picked, signature, now)
        made = shown(items, signature, project.config, project.facts.blobs)
        begun = Study(
            name=f"s{len(study.studies(project.facts.ledger.events(types=study.TYPES))) + 1}",
            rows=project.facts.blobs.put(study.rows_to_bytes(made)),
            gold=project.facts.blobs.put(gold),
            n=len(items),
            twice=min(round(share * len(items)), len(items) - 1),
            seed=seed,
            kind=signature.kind,
            target=project.config.task.target,
            classes=signature.classes,
            reviewers=project.config.plan.reviewers if reviewers is None else reviewers,
            started_at=now,
        )
        study.start(project.facts.ledger, begun, at=now, actor=project.actor, expected=roles.sequence)
        return begun

    def study(self, name: str | None = None) -> Study:
        """A study by its name; None: the latest."""
        found = study.studies(self.project.facts.ledger.events(types=study.TYPES))
        if not found:
            raise DataError("there is no study: draw one with `incumbent baseline people`")
        if name is not None and name not in found:
            raise DataError(f"found no study {name!r}; there are: {', '.join(found)}")
        return found[name] if name is not None else list(found.values())[-1]

    def progress(self, name: str | None = None) -> Progress:
        """How far a study is."""
        of, log = self.study(name), self.project.facts.log
        items = study.rows_of(self.project.facts.blobs, of.rows).items
        return study.progress(of, items, log.responses(of.name), log.adjudications(of.name))

    def measured(self, name: str | None = None) -> Measured:
        """What people reach so far. NotEnoughData where nothing can be held against anything yet."""
        of = self.study(name)
        answers, settled, gold = self._answers(of)
        left = study.unsettled(of, *self._said(of))
        labels = [None if label is None else self._value(of, label) for label in gold.labels]
        return step.measure(
            answers, labels, settled, self.project.metric, len(of.classes), unsettled=len(left), seed=of.seed,
            blocks=gold.blocks,
        )  # fmt: skip

    def finish(self, name: str | None = None, *, now: Micros | None = None) -> tuple[Version, Measured]:
        """End a study, and register its people as a version: a lookup of their first answers, which answers nobody."""
        project = self.project
        now = project.clock() if now is None else now
        of = self.study(name)
        if of.version is not None:
            raise DecisionRefused(f"study {of.name} has ended, and its people are {of.version}: draw another one")
        measured = self.measured(of.name)
        gold = self.gold(of)
        firsts = self._firsts(of)
        columns = self.columns(of, list(firsts), gold.signature)
        said = np.array(list(firsts.values()))
        output = np.eye(len(of.classes))[said.astype(int)] if of.classes else said
        saved = artefact.save(
            project.facts.blobs,
            runtime.lookup(columns, output, gold.signature, of.name),
            runtime="people",
            signature=gold.signature,
            sample=columns,
            versions=project.config.versions,
            facts={"study": of.name, "n_rows": len(firsts)},
        )
        description = f"people of study {of.name}: {measured.metric} {measured.people.value:.4g}"
        version = self._register(saved.manifest, gold.signature, f"people:{of.name}", description, now)
        told = step.reached(version.name, description, now, project.metric, measured.people, measured)
        promote.record(project.facts.ledger, told, actor=project.actor)
        study.finish(project.facts.ledger, of, version.name, at=now, actor=project.actor, reason=description)
        return version, measured

    def publish(self, accuracy: float, n: int, *, source: str = "", now: Micros | None = None) -> Version:
        """Register an accuracy that somebody published for `n` rows as people: compared unpaired, on no rows."""
        project = self.project
        now = project.clock() if now is None else now
        if not 0.0 <= accuracy <= 1.0 or n < 2:
            raise ConfigError(f"found an accuracy of {accuracy:g} on {n} rows, expected 0 to 1, on 2 rows or more")
        signature = self._signature(project.known(None, now), ())
        if not signature.classifies:
            raise ConfigError(f"a published accuracy is for classes, and this task is of kind {signature.kind}")
        figure: dict[str, Json] = {"accuracy": accuracy, "n": n, "source": source}
        manifest = runtime.published(project.facts.blobs, signature, figure, artefact.FORMAT)
        said = f"people as published: accuracy {accuracy:g} on {n:,} rows{f' ({source})' if source else ''}"
        version = self._register(manifest, signature, "people:published", said, now)
        told = step.reached(version.name, said, now, project.metric, step.published(accuracy, n))
        promote.record(project.facts.ledger, told, actor=project.actor)
        return version

    # --- a model against them

    def result(
        self, candidate: str | None = None, *, people: str | None = None, now: Micros | None = None
    ) -> Evidence:
        """May this model (default: the incumbent) replace these people (default: the latest)? On the ledger.

        `people` names a version or a study; a study may still be running. A model that was trained on the study's rows
        is judged by a fit of its recipe without them; where it has no recipe, the evidence says that it is flattered.
        """
        return replacing.result(self, candidate, people, self.project.clock() if now is None else now)

    def gate(self, candidate: str, people: str, *, now: Micros | None = None) -> Evidence:
        """The gate's rules for a candidate against measured people, on the rows of their study."""
        return replacing.gate(self, candidate, people, self.project.clock() if now is None else now)

    def is_people(self, name: str | None) -> bool:
        """Is this the name of a version that is measured people?"""
        version = self.project.roles().versions.get(name or "")
        return version is not None and version.runtime == "people"

    # --- what is kept of a study

    def reference(self, people: str | None) -> tuple[str, dict[str, Json] | None]:
        """The name of people (a version or a study), and the figure where it was published."""
        roles = self.project.roles()
        if people is None:
            measured = [version.name for version in roles.versions.values() if version.runtime == "people"]
            running = study.running(self.project.facts.ledger)
            if not measured and running is None:
                raise DataError("nobody was measured yet: draw rows with `incumbent baseline people`")
            people = running.name if running is not None else measured[-1]
        if not self.is_people(people):
            return self.study(people).name, None
        version = roles.versions[people]
        return people, runtime.figure(
            self.project.facts.blobs, artefact.manifest(self.project.facts.blobs, version.manifest)
        )

    def study_of(self, reference: str) -> Study:
        """The study behind the name of people, which is that of a version or of a study."""
        version = self.project.roles().versions.get(reference)
        return self.study(reference if version is None else version.recipe.removeprefix("people:"))

    def _register(
        self, manifest: str, signature: Signature, recipe: str, description: str, now: Micros
    ) -> Version:
        roles = self.project.roles()
        version = Version(
            name=promote.next_version(roles), runtime="people", manifest=manifest, signature=signature,
            serves=runtime.PART, recipe=recipe, answers=False, description=description,
        )  # fmt: skip
        promote.register(
            self.project.facts.ledger, roles, version, at=now, actor=self.project.actor, reason=description
        )
        return version

    def _signature(self, rows: Rows, classes: tuple[Label, ...]) -> Signature:
        """The incumbent's, or what the rows show; with `classes` where no label is known."""
        roles = self.project.roles()
        if roles.incumbent is not None:
            return roles.versions[roles.incumbent].signature
        task = self.project.config.task
        if any(label is not None for label in rows.labels()):
            return frames.infer_signature(rows.native(), task)
        numbers = task.kind in ("regression", "forecast")
        if not numbers and len(set(classes)) < 2:
            raise DataError(
                f"target {task.target!r}: no label is known, so nobody knows the classes: name each with --class"
            )
        values = [0.0, 1.0] if numbers else list(classes)
        target = nw.new_series(task.target, (values * len(rows))[: len(rows)], backend=rows.frame.implementation)
        return frames.infer_signature(nw.to_native(rows.frame.with_columns(target)), task)

    def _drawn(
        self, rows: Rows, picked: Any, signature: Signature, now: Micros
    ) -> tuple[list[Item], bytes]:
        """The picked rows as items, and the gold as bytes."""
        task = self.project.config.task
        drawn = rows.at_places(picked)
        ids = drawn.texts(task.id) if task.id else [f"row/{int(place)}" for place in picked]
        features = signatures.to_rows(drawn.columns(signature), signature)
        items = [Item(str(id), row) for id, row in zip(ids, features, strict=True)]
        labels = [
            label if known < now else None for label, known in zip(drawn.labels(), drawn.known_at.tolist(), strict=True)
        ]
        units = drawn.units()
        gold = {"signature": signatures.to_json(signature), "at": drawn.at.tolist(), "labels": labels,
                "blocks": None if units is None else units.tolist()}  # fmt: skip
        return items, json.dumps(gold, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()

    def gold(self, of: Study) -> Gold:
        """What no page reads."""
        found = json.loads(self.project.facts.blobs.get(of.gold))
        blocks = found.get("blocks")  # studies of before have none
        return Gold(
            signatures.from_json(found["signature"]), tuple(found["at"]), tuple(found["labels"]),
            None if blocks is None else tuple(blocks),
        )  # fmt: skip

    def _said(self, of: Study) -> tuple[list[Any], list[Any]]:
        log = self.project.facts.log
        return log.responses(of.name), log.adjudications(of.name)

    def _answers(self, of: Study) -> tuple[list[list[Answer]], dict[int, Settled], Gold]:
        """Each item's answers, what was settled, and the gold."""
        items = study.rows_of(self.project.facts.blobs, of.rows).items
        place = {item.id: number for number, item in enumerate(items) if item is not None}
        responses, adjudications = self._said(of)
        answers: list[list[Answer]] = [[] for _ in items]
        for one in responses:
            if one.value is not None and one.item in place:
                answers[place[one.item]].append(
                    Answer(one.reviewer, self._value(of, one.value), one.copy, one.took_us / 1e6)
                )
        settled = {
            place[one.item]: Settled(self._value(of, one.value), one.reviewer)
            for one in adjudications
            if one.item in place
        }
        return answers, settled, self.gold(of)

    def _firsts(self, of: Study) -> dict[int, float]:
        """The first answer to each item that has one."""
        answers, _, _ = self._answers(of)
        return {
            place: min(said, key=lambda one: one.copy).value for place, said in enumerate(answers) if said
        }

    def columns(self, of: Study, places: list[int], signature: Signature) -> Columns:
        """The features of some items of the study."""
        items = study.rows_of(self.project.facts.blobs, of.rows).items
        return signatures.to_columns([items[place].features for place in places], signature)  # type: ignore[union-attr]

    @staticmethod
    def _value(of: Study, label: Label) -> float:
        if not of.classes:
            return float(label)
        known = [study.label_key(one) for one in of.classes]
        try:
            return float(known.index(study.label_key(label)))
        except ValueError:
            raise DataError(f"found the label {label!r}, expected one of the classes {of.classes}") from None
