"""The systems that answer today, each as a version of its own: columns, functions, an address, a model of MLflow.

In: `[baseline]` of the settings, labelled rows and which of them are held out. Out: `System`s: what each says of the
held-out rows, and the version that it is, stored and not yet on the ledger. A system that was registered before is
that version. One that cannot answer new rows is a reference, with its answers kept, and `note` says what would let it.
"""

import hashlib
import json
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import narwhals.stable.v1 as nw
import numpy as np

from incumbent.engines.contained import Contained, open_predictor
from incumbent.errors import ArtefactRefused, BadOutput, ConfigError, DataError
from incumbent.loop import promote
from incumbent.project import asking, pyfunc
from incumbent.project.bringing import of_mlflow
from incumbent.project.code import Code
from incumbent.project.registering import draft, enter
from incumbent.project.rows import Rows
from incumbent.records import Micros, Signature, Version
from incumbent.runtimes import endpoint, frames, reference
from incumbent.runtimes import signature as signatures
from incumbent.runtimes.base import Floats, checked
from incumbent.runtimes.folder import ENTRY
from incumbent.runtimes.pyfunc import CodeFolder
from incumbent.runtimes.rule import Rule
from incumbent.runtimes.said import as_output
from incumbent.steps.baseline.held import Reference, evenly

if TYPE_CHECKING:
    from incumbent.project.project import Project

COLUMN_NOTE = "no request carries this column: make it a feature, and it is a rule that answers"
CODE_NOTE = "to let it answer write in incumbent.toml, under [versions]: code = true"
URL_NOTE = "to let it answer set baseline.url_answers = true, or promote it"
_FOLDER = "project"
_SIGNATURE = "signature.json"
_ENTRY = '''"""A function of a project's code file as a version; written by `incumbent baseline`."""

import json
from importlib.util import module_from_spec, spec_from_file_location

from incumbent.runtimes.said import as_output
from incumbent.runtimes.signature import from_json

FILE, NAME = {file!r}, {name!r}


class Predictor:
    def __init__(self, folder):
        self.signature = from_json(json.loads((folder / "signature.json").read_text()))
        spec = spec_from_file_location("project_code", folder / "project" / FILE)
        module = module_from_spec(spec)
        spec.loader.exec_module(module)
        self.function = getattr(module, NAME)

    def predict(self, rows):
        said = self.function(rows)
        said = said.to_numpy() if hasattr(said, "to_numpy") else said
        return as_output(said, self.signature, NAME)
'''


@dataclass(frozen=True, slots=True)
class System:
    """One system: its word in `[baseline]`, its name in the evidence, its version (without a name where it is new),
    what it said of the held-out rows (None: a rule, which is scored among the rules), and why it cannot answer."""

    setting: str
    subject: str
    version: Version
    said: Reference | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class _Case:
    """What every kind of system is asked with."""

    project: "Project"
    known: Rows
    held: Rows
    signature: Signature
    now: Micros

    def features(self) -> Any:
        """The features of the held-out rows, in the user's own kind of DataFrame."""
        frame = self.held.frame
        names = frames.feature_names(frame, self.held.config.task) if len(self.held) else frame.columns
        return nw.to_native(frame.select(names))

    def before(self, recipe: str, runtime: str) -> Version | None:
        """The version that this system is already."""
        found = [
            one for one in self.project.roles().versions.values() if (one.recipe, one.runtime) == (recipe, runtime)
        ]
        return found[-1] if found else None

    def drafted(self, model: Any, rows: Rows, subject: str, recipe: str, runtime: str | None = None) -> Version:
        """A version that is not ours: nobody here knows what it was made from."""
        try:
            found = draft(
                self.project, model, rows, description=subject, recipe=recipe, runtime=runtime, signature=self.signature
            )
        except BadOutput as error:
            raise DataError(f"{subject}: {error}") from error
        return replace(found, trained_until=None, n_rows=0)

    def referred(self, setting: str, subject: str, recipe: str, output: Floats, note: str) -> System:
        """A system that cannot answer: its answers are its version."""
        said = self.checked(output, subject)
        version = self.before(recipe, reference.Kept.runtime)
        if version is None:
            model = reference.kept(subject, self.held.columns(self.signature), said, self.signature)
            version = replace(self.drafted(model, self.held, subject, recipe), answers=False)
        return System(setting, subject, version, self.reference(subject, said), note)

    def answering(self, setting: str, subject: str, version: Version) -> System:
        """A system that answers: what it says is what its version says, where that runs."""
        predictor = open_predictor(self.project.config, version.manifest)
        try:
            said = predictor.predict(self.held.columns(self.signature))
        finally:
            if isinstance(predictor, Contained):
                predictor.close()
        return System(setting, subject, version, self.reference(subject, self.checked(said, subject), answers=True))

    def checked(self, output: Floats, subject: str, rows: int | None = None) -> Floats:
        try:
            return checked(output, self.signature, len(self.held) if rows is None else rows)
        except (BadOutput, TypeError, ValueError) as error:
            raise DataError(f"{subject}: {error}") from error

    def reference(self, subject: str, said: Floats, *, answers: bool = False) -> Reference:
        """With the hash of its answers among the facts: what was compared can be looked up for ever."""
        return Reference(subject, said, None, {"answers": asking.keep(self.project, subject, said)}, answers)


def collect(project: "Project", known: Rows, held: Rows, signature: Signature, now: Micros) -> tuple[System, ...]:
    """Ask each system that `[baseline]` names. Writes nothing on the ledger.

    Raises ConfigError for a column or function that is not there, and DataError for answers that cannot be used.
    """
    case, settings = _Case(project, known, held, signature, now), project.config.baseline
    found = [_column(case, name) for name in settings.columns]
    found += [_function(case, name) for name in settings.callables]
    if settings.mlflow:
        found.append(_mlflow(case, settings.mlflow))
    if settings.url:
        found.append(_endpoint(case))
    return tuple(found)


def entered(project: "Project", systems: tuple[System, ...], now: Micros) -> tuple[System, ...]:
    """The same systems with their versions on the ledger: the new ones get their names, an address that may answer from
    now on is let."""
    found = []
    for system in systems:
        version = system.version if system.version.name else enter(project, system.version, now)
        if system.said is not None and system.said.answers and not version.answers:
            reason = "baseline.url_answers = true"
            promote.allow(
                project.facts.ledger, project.roles(), version.name, at=now, actor=project.actor, reason=reason
            )
            version = project.version(version.name)
        found.append(replace(system, version=version))
    return tuple(found)


def chosen(systems: tuple[System, ...], wanted: str) -> System:
    """The system that shall be the first incumbent. ConfigError where it is none of these, or cannot answer."""
    for system in systems:
        if wanted in (system.setting, system.subject, system.version.name or None):
            if system.version.answers or (system.said is not None and system.said.answers):
                return system
            raise ConfigError(f"{wanted} cannot be the first incumbent: {system.subject} is a reference; {system.note}")
    known = ", ".join(system.setting for system in systems) or "none: name one in [baseline]"
    raise ConfigError(f"{wanted!r} is no system of [baseline] that could be the first incumbent; found {known}")


# --- columns


def is_rule(name: str, signature: Signature) -> bool:
    """A feature of numbers is a rule that can be served (but for several classes, where one number says too little)."""
    types = {column.name: column.type for column in signature.columns}
    return types.get(name) in ("number", "integer", "boolean") and signature.kind != "multiclass"


def recipe_of_column(name: str) -> str:
    """What the version of a column remembers of where it comes from."""
    return f"existing:column:{name}"


def _column(case: _Case, name: str) -> System:
    recipe = recipe_of_column(name)
    if is_rule(name, case.signature):
        subject = f"column {name} as it is"
        return System(name, subject, case.before(recipe, "rule") or _column_rule(case, name, subject, recipe))
    frame = case.held.frame
    if name not in frame.columns:
        raise ConfigError(f"baseline.columns names {name!r}: no such column; found {', '.join(frame.columns)}")
    values = frame[name]
    if values.is_null().any():
        missing = int(values.is_null().sum())
        raise DataError(f"baseline.columns: {name!r} is null in {missing:,} held-out rows, expected an answer in each")
    output = as_output(values.to_list(), case.signature, name)
    return case.referred(name, f"column {name}", recipe, output, COLUMN_NOTE)


def _column_rule(case: _Case, name: str, subject: str, recipe: str) -> Version:
    truth = np.asarray(case.known.truth(case.signature), dtype=np.float64)
    spec = {"rule": "column", "column": name, "default": math.fsum(truth) / len(truth)}
    return case.drafted(Rule(spec, case.signature), case.known, subject, recipe)


# --- functions of the code file


def _function(case: _Case, name: str) -> System:
    code = case.project.code
    if code is None:
        raise ConfigError(f"baseline.callables names {name}, but task.code is not set: name the file it is in.")
    subject, recipe = f"function {name}", f"existing:function:{code.recipe(name)}"
    version = case.before(recipe, "pyfunc")
    if version is not None:
        return case.answering(name, subject, version)
    output = as_output(_plain(code.ask(name, case.features())), case.signature, name)
    if not case.project.config.versions.code:
        return case.referred(name, subject, recipe, output, CODE_NOTE)
    case.checked(output, name)
    try:
        version = case.drafted(_code_folder(code, name, case.signature), case.known, subject, recipe)
    except ArtefactRefused as error:
        return case.referred(name, subject, recipe, output, f"it does not run by itself: {_short(error)}")
    return case.answering(name, subject, version)


def _code_folder(code: Code, name: str, signature: Signature) -> CodeFolder:
    return CodeFolder({
        ENTRY: _ENTRY.format(file=code.where.name, name=name).encode(),
        f"{_FOLDER}/{code.where.name}": code.where.read_bytes(),
        _SIGNATURE: json.dumps(signatures.to_json(signature), sort_keys=True).encode(),
    })


def _plain(said: Any) -> Any:
    """A column or a DataFrame as an array; anything else as it is."""
    native = nw.from_native(said, pass_through=True, allow_series=True)
    return native.to_numpy() if isinstance(native, nw.DataFrame | nw.Series) else said


# --- a model of MLflow


def _mlflow(case: _Case, uri: str) -> System:
    found, digest = of_mlflow(case.project, uri)
    subject, recipe = f"MLflow model {uri}", f"existing:mlflow:{digest}"
    if isinstance(found, str):
        return _asked_through_mlflow(case, uri, subject, recipe, found)
    runtime = found.runtime
    for version in case.project.roles().versions.values():
        if version.recipe == recipe and version.answers:
            return case.answering("mlflow", subject, version)
    try:
        version = case.drafted(found.model, case.known, subject, recipe, runtime)
    except ArtefactRefused as error:
        return _asked_through_mlflow(case, uri, subject, recipe, _short(error))
    return case.answering("mlflow", subject, version)


def _asked_through_mlflow(case: _Case, uri: str, subject: str, recipe: str, why: str) -> System:
    output = as_output(_plain(pyfunc.ask(uri, case.features())), case.signature, uri)
    return case.referred("mlflow", subject, recipe, output, why)


# --- a system behind an address


def _endpoint(case: _Case) -> System:
    settings, project = case.project.config.baseline, case.project
    address = endpoint.address_of(settings)
    part = json.dumps([address.url, address.format, address.token_env]).encode()
    recipe = f"existing:endpoint:{hashlib.sha256(part).hexdigest()[:8]}"
    places = evenly(len(case.held), settings.url_rows or len(case.held))
    held = case.held.at_places(places)
    columns, version = held.columns(case.signature), case.before(recipe, address.runtime)
    if version is not None and _moved(project, version.name, case.now):
        version = None
    if version is None:
        drafted = case.drafted(address, case.known, address.url, recipe)
        version = replace(drafted, answers=settings.url_answers)
    predictor = open_predictor(project.config, version.manifest)
    said = case.checked(predictor.predict(columns), address.url, len(held))
    digest = asking.keep(project, address.url, said, places.tolist())
    rows = asking.fingerprint(columns, case.signature)
    facts = {"answers": digest, "asked": [{"version": "", "rows": rows, "answers": digest}]}
    answers = settings.url_answers or version.answers
    return System(
        "url", address.url, version, Reference(address.url, said, places, facts, answers), "" if answers else URL_NOTE
    )


def _moved(project: "Project", name: str, now: Micros) -> bool:
    """Does it answer its golden rows otherwise than when it was registered? Then it is another system."""
    gap = asking.standing(project, name, now)
    if isinstance(gap, Exception):
        raise gap
    return gap.differ > 0


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


