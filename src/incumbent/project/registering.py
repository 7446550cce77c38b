"""Store a fitted model as the next version of a project.

In: a model and the rows that it was trained on. Out: a Version on the ledger, with signature, golden rows, profile and
a compiled twin where one was proved. Promotes nothing.
"""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from incumbent.engines.contained import containing, translated
from incumbent.errors import DataError
from incumbent.loop import promote
from incumbent.project.rows import Rows
from incumbent.records import Json, Micros, Signature, Version
from incumbent.runtimes import artefact, kinds, schema
from incumbent.runtimes.base import Columns, Remote
from incumbent.runtimes.network import Script, Weights
from incumbent.runtimes.proof import Twin
from incumbent.runtimes.rule import Rule
from incumbent.stats import drift

if TYPE_CHECKING:
    from incumbent.project.project import Project


def register(
    project: "Project",
    model: Any,
    rows: Any = None,
    *,
    description: str = "",
    recipe: str = "external",
    parent: str | None = None,
    runtime: str | None = None,
    now: Micros | None = None,
) -> Version:
    """See `Project.register`."""
    now = project.clock() if now is None else now
    trained = project.rows(now).labelled(now) if rows is None else project.read(rows)
    drafted = draft(project, model, trained, description=description, recipe=recipe, parent=parent, runtime=runtime)
    return enter(project, drafted, now)


def enter(project: "Project", drafted: Version, now: Micros) -> Version:
    """Give a draft the next name, and write it on the ledger."""
    roles = project.roles()
    version = replace(drafted, name=promote.next_version(roles))
    promote.register(
        project.facts.ledger, roles, version, at=now, actor=project.actor, reason=version.description
    )
    return version


def draft(
    project: "Project",
    model: Any,
    trained: Rows,
    *,
    description: str = "",
    recipe: str = "external",
    parent: str | None = None,
    runtime: str | None = None,
    signature: Signature | None = None,
) -> Version:
    """A version that is stored and proved, and has no name yet: no ledger knows of it."""
    if not len(trained):
        raise DataError("found no labelled row, expected the rows that the model was trained on")
    if signature is None:
        signature = model.signature if isinstance(model, Rule) else project.signature(trained)
    sample = _spread(trained, 4_000)
    columns = sample.columns(signature)
    runtime = runtime or kinds.runtime_of(model)
    facts: dict[str, Json] = {
        "n_rows": len(trained), "since": int(trained.at[0]), "until": int(trained.at[-1]), "recipe": recipe
    }  # fmt: skip
    if isinstance(model, Script | Weights) or runtime == "torch":
        twin = _as_onnx(project, model, signature, columns)
        given = model.runtime if isinstance(model, Script | Weights) else runtime
        facts["translated"] = {"from": given, "max_difference": twin.max_difference, "n_rows": twin.n_rows}
        model, runtime = twin.content, "onnx"
    saved = artefact.save(
        project.facts.blobs,
        model,
        runtime=runtime,
        signature=signature,
        sample=columns,
        versions=project.config.versions,
        profile=_profile(trained.columns(signature), signature),
        schema=schema.of(trained.training_frame()).to_json(),
        facts=facts,
        contain=containing(project.config),
        remote=Remote(project.config.baseline),
    )
    return Version(
        name="",
        runtime=saved.runtime,
        manifest=saved.manifest,
        signature=signature,
        serves=saved.serves,
        recipe=recipe,
        parent=parent,
        trained_until=int(trained.at[-1]) if project.config.task.time else None,
        n_rows=len(trained),
        description=description,
    )


def _as_onnx(project: "Project", model: Any, signature: Signature, sample: Columns) -> Twin:
    """A network of PyTorch as ONNX, proved equal on these rows: here where it is a module in our own memory, in a
    process of its own where it came from a file."""
    if isinstance(model, Script | Weights):
        return translated(project.config, model, signature, sample)
    network = kinds.callable_at(kinds.NETWORK)(model, signature)
    twin: Twin = kinds.callable_at(kinds.TRANSLATE)(network, sample)
    return twin


def _spread(rows: Rows, most: int) -> Rows:
    """At most `most` rows, evenly over all of them."""
    if len(rows) <= most:
        return rows
    mask = np.zeros(len(rows), dtype=np.bool_)
    mask[np.linspace(0, len(rows) - 1, most).astype(int)] = True
    return rows.where(mask)


def _profile(columns: Columns, signature: Signature) -> dict[str, Json]:
    """The counts of each column of the training rows, for drift and for `why`; number arrays have none."""
    texts = {column.name for column in signature.columns if column.type == "string"}
    return {
        name: drift.profile(name, values, kind="category" if name in texts else "numeric").to_dict()
        for name, values in columns.items()
        if values.ndim == 1
    }
