"""A version on disk: blobs with a manifest, and golden rows that it must repeat at every load.

In: a predictor or fitted estimator, its signature and a sample of its training rows. Out: the hash of a manifest,
and later the Predictor again, verified. The manifest is JSON: {format, runtime, signature, schema, parts {name:
sha256}, serves, golden, profile, libraries, facts, compile {made, part, reason, max_difference, refused}}.
On the answering path: a runtime is imported when a part of its kind is opened (`kinds`).
"""

import json
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from platform import python_version
from typing import Any

import numpy as np

from incumbent.config import Versions
from incumbent.errors import (
    ArtefactRefused,
    DataError,
    GoldenMismatch,
    IncumbentError,
    PredictError,
    StoreDamaged,
)
from incumbent.records import Json, Signature
from incumbent.runtimes import signature as signatures
from incumbent.runtimes.base import Columns, Floats, Opening, Predictor, Remote, checked, n_rows
from incumbent.runtimes.kinds import (
    CODE,
    GENERAL,
    LOADERS,
    PACKERS,
    PROOF,
    REMOTE,
    TWINS,
    TWINS_OF,
    callable_at,
    runtime_in,
    runtime_of,
)
from incumbent.storage.base import Blobs

FORMAT = 1

Contain = Callable[[str, bytes, Opening, ExitStack], Predictor]
"""`contain(part, content, opening, stack)` opens a part in a process of its own, which ends with the stack."""

_FLOAT32 = (".onnx", ".xgboost.ubj")
_LIBRARIES = (
    "numpy", "onnxruntime", "scikit-learn", "lightgbm", "xgboost", "xgboost-cpu", "catboost", "pandas", "polars",
    "skl2onnx", "onnxmltools",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Saved:
    """Where a version lies: the hash of its manifest, the part that answers, and what is worth saying about it."""

    manifest: str
    runtime: str
    serves: str
    notes: tuple[str, ...] = ()


def save(
    blobs: Blobs,
    model: Any,
    *,
    runtime: str,
    signature: Signature,
    sample: Columns,
    versions: Versions,
    facts: Mapping[str, Json] | None = None,
    profile: Mapping[str, Json] | None = None,
    schema: Mapping[str, Json] | None = None,
    contain: Contain | None = None,
    remote: Remote | None = None,
) -> Saved:
    """Store a model as blobs and prove that it loads and answers.

    `sample` holds training rows (2,000 or more make a good proof of the twin); `versions.golden_rows` of them,
    evenly spread, become the golden rows. `schema` is `runtimes.schema.of(rows).to_json()` of the training rows.
    A model that came as bytes or as a folder of code is from outside: with `contain` it must first load and answer the
    sample in a process of its own, because what parses it may end the process (of 300 damaged LightGBM texts, 171 did).

    Raises ArtefactRefused when the model cannot be stored safely or does not answer its own rows, DataError when
    there is no row, MissingExtra when a package is not installed.
    """
    if not n_rows(sample):
        raise DataError("found no row, expected training rows: some of them become the golden rows")
    opening = Opening(signature, versions, schema, vouched=True, blobs=blobs, remote=remote)
    part, content = runtime_in(PACKERS, runtime)(model, opening)
    golden = _spread(sample, versions.golden_rows)
    with ExitStack() as stack:
        outside = contain if isinstance(model, bytes | str) or part in CODE else None
        native = first_opened(part, content, opening, sample, outside, stack)
        parts, outputs = {part: content}, {part: answers(native, golden)}
        compiled, serves = _compile(native, sample, versions), part
        if compiled["made"]:
            serves = compiled["part"]
            parts[serves] = compiled.pop("content")
            outputs[serves] = answers(runtime_in(LOADERS, serves)(parts[serves], opening), golden)
    rows = signatures.to_rows(golden, signature)
    manifest = {
        "format": FORMAT,
        "runtime": runtime,
        "signature": signatures.to_json(signature),
        "schema": schema,
        "parts": {name: blobs.put(found) for name, found in parts.items()},
        "serves": serves,
        "golden": blobs.put(_json({"rows": rows, "outputs": {k: v.tolist() for k, v in outputs.items()}})),
        "profile": None if profile is None else blobs.put(_json(profile)),
        "libraries": libraries(),
        "facts": dict(facts or {}),
        "compile": compiled,
    }
    note = () if compiled["reason"] is None else (f"no compiled twin: {compiled['reason']}",)
    return Saved(blobs.put(_json(manifest)), runtime, serves, note)


def manifest(blobs: Blobs, digest: str) -> dict[str, Json]:
    """The manifest under this hash. Raises StoreDamaged when it is missing or changed, ArtefactRefused when it is
    none, or of another release."""
    try:
        found = json.loads(_blob(blobs, digest, "manifest"))
    except ValueError:
        raise ArtefactRefused(f"{digest[:12]}… is no manifest: expected a JSON object") from None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        shown = found.get("format") if isinstance(found, dict) else type(found).__name__
        raise ArtefactRefused(f"manifest {digest[:12]}…: found format {shown!r}, expected {FORMAT}: register it anew")
    return found


def first_opened(
    part: str, content: bytes, opening: Opening, sample: Columns, contain: Contain | None, stack: ExitStack
) -> Predictor:
    """The predictor of a part that nobody opened before: with `contain`, once it answered the sample in a process of
    its own. Code stays there. Raises ArtefactRefused, also when it ended that process."""
    if contain is None:
        return runtime_in(LOADERS, part)(content, opening)  # type: ignore[no-any-return]
    try:
        with ExitStack() as trial:
            first = contain(part, content, opening, trial)
            answers(first, sample)
            if part in CODE:
                stack.push(trial.pop_all())
                return first
    except PredictError as error:
        raise ArtefactRefused(f"{part} was tried in a process of its own, and failed there: {error}") from error
    return runtime_in(LOADERS, part)(content, opening)  # type: ignore[no-any-return]


def open_bytes(part: str, content: bytes, opening: Opening) -> Predictor:
    """The predictor of a part, without any proof: what a process of its own calls."""
    return runtime_in(LOADERS, part)(content, opening)  # type: ignore[no-any-return]


def open_version(
    blobs: Blobs,
    digest: str,
    versions: Versions,
    known: Collection[str] = (),
    *,
    contained: bool = False,
    remote: Remote | None = None,
) -> Predictor:
    """The predictor that answers for this manifest, after it repeated its golden rows.

    `known` are hashes that our own ledger names (of manifests, or of pickles): nothing else unpickles, runs code or is
    asked over a network. `contained` says that this process is there for this version alone, `remote` how another
    machine is asked (see `Opening`). Raises StoreDamaged, ArtefactRefused, MissingExtra, or GoldenMismatch with the
    row, what was stored and what was found. One that asks another machine is not asked here: see `golden_gap`.
    """
    part = str(manifest(blobs, digest)["serves"])
    return open_part(blobs, digest, part, versions, known, contained=contained, remote=remote)


def open_native(blobs: Blobs, digest: str, versions: Versions, known: Collection[str] = ()) -> Predictor:
    """The predictor as it was registered, not its compiled twin. Errors as for `open_version`."""
    part = next(name for name in manifest(blobs, digest)["parts"] if name not in TWINS)
    return open_part(blobs, digest, part, versions, known)


def open_part(
    blobs: Blobs,
    digest: str,
    part: str,
    versions: Versions,
    known: Collection[str] = (),
    *,
    contained: bool = False,
    remote: Remote | None = None,
) -> Predictor:
    """The predictor in one part of a version, after it repeated its golden rows. Errors as for `open_version`."""
    found = manifest(blobs, digest)
    signature = signatures.from_json(found["signature"])
    sha = found["parts"][part]
    vouched = digest in known or sha in known
    opening = Opening(signature, versions, found["schema"], vouched, blobs, contained, remote)
    predictor: Predictor = runtime_in(LOADERS, part)(_blob(blobs, sha, part), opening)
    if part in REMOTE:
        return predictor
    stored = golden(blobs, digest)
    replay(predictor, stored["rows"], stored["outputs"][part], part, found["libraries"])
    return predictor


def profile(blobs: Blobs, digest: str) -> dict[str, Json] | None:
    """The profile of the training rows, or None where none was stored."""
    found = manifest(blobs, digest)["profile"]
    return None if found is None else dict(json.loads(_blob(blobs, found, "profile")))


def golden_rows(blobs: Blobs, digest: str) -> list[dict[str, Json]]:
    """The rows that a version must repeat at every load, as requests would bring them."""
    rows: list[dict[str, Json]] = golden(blobs, digest)["rows"]
    return rows


def golden(blobs: Blobs, digest: str) -> dict[str, Json]:
    """{rows, outputs {part: one for each row}}: the golden rows, and what each part of the version said of them."""
    return dict(json.loads(_blob(blobs, manifest(blobs, digest)["golden"], "golden rows")))


def with_golden(blobs: Blobs, digest: str, golden: Mapping[str, Json]) -> str:
    """Store the manifest with other golden rows; its hash. What they replace is still there."""
    return blobs.put(_json({**manifest(blobs, digest), "golden": blobs.put(_json(golden))}))


def holds(blobs: Blobs, digest: str, texts: Collection[bytes]) -> bool:
    """Is one of the texts in the manifest, the golden rows or the profile? (In the parts nobody looks.)"""
    found = manifest(blobs, digest)
    held = [digest, found["golden"], *([found["profile"]] if found["profile"] else [])]
    return any(text in _blob(blobs, each, "part") for each in held for text in texts)


def replay(
    predictor: Predictor, rows: list[dict[str, Json]], stored: Json, part: str, recorded: Mapping[str, str]
) -> None:
    """Raise GoldenMismatch unless the rows give what was stored: to 1e-6, to 1e-5 in float32 (ONNX, XGBoost)."""
    expected = np.asarray(stored, dtype=np.float64)
    found = answers(predictor, signatures.to_columns(rows, predictor.signature))
    tolerance = 1e-5 if part.endswith(_FLOAT32) else 1e-6
    allowed = _tolerance(expected, part, predictor.signature)
    wrong = np.argwhere((np.abs(found - expected).reshape(len(rows), -1) > allowed).any(axis=1))
    if not wrong.size:
        return
    row, changed = int(wrong[0, 0]), _changed(recorded)
    raise GoldenMismatch(
        f"{part}: golden row {row} ({len(wrong)} of {len(rows)} differ): stored {expected[row].tolist()}, "
        f"found {found[row].tolist()}, tolerance {tolerance:g}. "
        + (f"Since then changed: {', '.join(changed)}." if changed else "No library changed.")
        + " Register it anew, or install the libraries that it was made with."
    )


@dataclass(frozen=True, slots=True)
class GoldenGap:
    """How many golden rows a version answers otherwise than when it was registered, of how many, and by how much at
    most; `today` (n, …) is what it says now."""

    differ: int
    rows: int
    most: float
    today: Floats


def golden_gap(blobs: Blobs, digest: str, predictor: Predictor) -> GoldenGap:
    """Ask a version about its golden rows. Raises what the predictor raises, ArtefactRefused or BadOutput where that is
    no answer."""
    stored = golden(blobs, digest)
    part = str(manifest(blobs, digest)["serves"])
    expected = np.asarray(stored["outputs"][part], dtype=np.float64)
    today = answers(predictor, signatures.to_columns(stored["rows"], predictor.signature))
    away = np.abs(today - expected).reshape(len(expected), -1).max(axis=1) if len(expected) else np.zeros(0)
    wrong = away > _tolerance(expected, part, predictor.signature).reshape(-1)
    return GoldenGap(int(wrong.sum()), len(expected), float(away.max(initial=0.0)), today)


def answers(predictor: Predictor, columns: Columns) -> Floats:
    """What a predictor says of rows, checked. Raises ArtefactRefused for whatever the model raises, and BadOutput."""
    try:
        return checked(predictor.predict(columns), predictor.signature, n_rows(columns))
    except (IncumbentError, MemoryError):
        raise
    except Exception as error:  # a model may raise anything
        raise ArtefactRefused(
            f"the model does not answer its own training rows: {type(error).__name__}: {error}. "
            "Expected a model that takes the features of the signature: "
            f"{', '.join(f'{c.name} ({c.type})' for c in predictor.signature.columns)}"
        ) from error


def served(native: Any, sample: Columns, versions: Versions) -> Predictor:
    """What would answer for this native predictor: its proved twin, or itself."""
    found = _compile(native, sample, versions)
    if not found["made"]:
        return native  # type: ignore[no-any-return]
    twin: Predictor = runtime_in(LOADERS, found["part"])(found["content"], Opening(native.signature, versions))
    return twin


def native(model: Any, opening: Opening) -> Predictor:
    """The predictor of a fitted model in memory, as it would be registered; nothing is stored. Raises ArtefactRefused
    when the model does not suit the signature."""
    part, content = runtime_in(PACKERS, runtime_of(model))(model, opening)
    return open_bytes(part, content, opening)


def libraries() -> dict[str, str]:
    """Versions of Python and of the packages on which an answer may depend, as far as they are installed."""
    found = {"python": python_version()}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def changed_libraries(blobs: Blobs, digest: str) -> list[str]:
    """What is another version here than when this manifest was made ("numpy 2.1.0 → 2.4.1")."""
    return _changed(manifest(blobs, digest)["libraries"])


def _tolerance(expected: Floats, part: str, signature: Signature) -> Floats:
    """(n, 1) how far each row may be off: 1e-6, 1e-5 in float32; of numbers above 1, times the number."""
    tolerance = 1e-5 if part.endswith(_FLOAT32) else 1e-6
    if signature.classifies:
        return np.full((len(expected), 1), tolerance)
    return tolerance * np.maximum(1.0, np.abs(expected)).reshape(len(expected), -1)


def _changed(recorded: Mapping[str, str]) -> list[str]:
    now = libraries()
    return [f"{name} {before} → {now.get(name, 'missing')}" for name, before in recorded.items()
            if now.get(name) != before]  # fmt: skip


def _compile(native: Any, sample: Columns, versions: Versions) -> dict[str, Any]:
    """What the manifest says of the twin; `content` holds its bytes where one was proved."""
    none: dict[str, Any] = {"made": False, "part": None, "reason": None, "max_difference": None, "refused": {}}
    if native.runtime not in TWINS_OF:
        return none
    if not versions.compile:
        return none | {"reason": "versions.compile = false"}
    part, found, refused = _twin(native, sample)
    if isinstance(found, str):
        return none | {"reason": found, "refused": refused}
    made = {"made": True, "part": part, "max_difference": found.max_difference, "content": found.content}
    return none | made | {"refused": refused}


def _twin(native: Any, sample: Columns) -> tuple[str, Any, dict[str, str]]:
    """The part and the twin that was proved first, with why those before it were not; or the reason of GENERAL."""
    proof = callable_at(PROOF)(native, sample)
    refused: dict[str, str] = {}
    for part in TWINS_OF[native.runtime]:
        found = runtime_in(TWINS, part)(native, proof)
        if not isinstance(found, str):
            return part, found, refused
        refused[part] = found
    return "", refused[GENERAL], refused


def _spread(columns: Columns, most: int) -> Columns:
    rows = n_rows(columns)
    picked = np.unique(np.linspace(0, rows - 1, min(rows, max(most, 1))).astype(int))
    return {name: values[picked] for name, values in columns.items()}


def _blob(blobs: Blobs, digest: str, what: str) -> bytes:
    try:
        return blobs.get(digest)
    except KeyError:
        raise StoreDamaged(f"{what} {digest[:12]}… is missing from the store, expected a blob of that hash") from None


def _json(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
