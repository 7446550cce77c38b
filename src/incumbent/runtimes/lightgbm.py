"""A LightGBM model as a predictor: its text through LightGBM's C library, in float64, exactly what LightGBM says.

In: the text of a model (a Booster), or a twin (that text with what each column becomes: `runtimes.fold`), and a
Signature. Out: probabilities in the order of the signature, or numbers. One thread. The library is loaded by its path;
the package `lightgbm` is not imported (it brings scipy and scikit-learn: .9 s).

300 trees of 31 leaves on 30 numbers, other rows at every call, one thread: 8.6 us for one row, 110 for 16, 415 for 64,
1,660 for 256, 6,450 for 1,000, where onnxruntime takes 9.7, 87, 301, 1,135 and 4,435. So the ONNX twin serves where it
is proved equal (in float32, ties of thresholds may not be), and this one where not.
"""

import ctypes
import json
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from incumbent.errors import ArtefactRefused, MissingExtra
from incumbent.records import Json, Signature
from incumbent.runtimes.base import SCALAR, Columns, Floats, Opening, matrix_of, n_rows
from incumbent.runtimes.forest import check_text

TEXT_PART = "model.lightgbm.txt"
_ONE_BY_ONE = 2
"""Up to so many rows the call for single rows is the quicker one."""
_PARAMETERS = b"num_threads=1"
_FLOAT64, _BY_ROW, _NORMAL = 1, 1, 0
_NAMES = {"win32": "lib_lightgbm.dll", "darwin": "lib_lightgbm.dylib"}


class LightGbm:
    """A loaded model. `features` says, for each feature of the model in its order, which column it is and

        null    what LightGBM gets for a null (None: NaN, which it knows as missing)
        codes   for a column of categories: category -> number; `other` for one that is not in it (None: NaN)

    `order` is the place of each of its classes 0, 1, … in the signature. Raises ArtefactRefused when the model does not
    suit the signature, MissingExtra without the package.
    """

    runtime = "lightgbm"
    takes_transformer = False

    def __init__(
        self, text: str, signature: Signature, features: Sequence[Mapping[str, Json]], order: Sequence[int]
    ) -> None:
        self.text, self.signature = text, signature
        self._library = library()
        self._model, self._n_outputs = _loaded(self._library, text)
        self.class_order = list(order)
        _check_outputs(self._n_outputs, self.class_order, signature)
        self.input_names = tuple(feature["column"] for feature in features)
        unknown = [name for name in self.input_names if name not in signature.names]
        if unknown:
            known = ", ".join(signature.names)
            raise ArtefactRefused(f"the model takes {', '.join(unknown)}; the signature has {known}")
        self._features = [_Feature(place, feature) for place, feature in enumerate(features)]
        self._as_they_are = all(f.codes is None and f.null is None for f in self._features)
        self._whole = self._as_they_are and self.input_names == signature.names
        self._places = [signature.names.index(name) for name in self.input_names]
        self._single = _single(self._library, self._model, len(features))

    def predict(self, columns: Columns) -> Floats:
        """Answer n_rows rows."""
        if self._as_they_are:
            return self._answer(matrix_of(columns, self.input_names))
        matrix = np.empty((n_rows(columns), len(self._features)))
        for feature in self._features:
            matrix[:, feature.place] = feature.numbers(columns[feature.column])
        return self._answer(matrix)

    def predict_matrix(self, matrix: Floats) -> Floats:
        """Answer the rows of a matrix of all columns (`base.TakesMatrix`)."""
        if self._whole:
            return self._answer(np.ascontiguousarray(matrix, dtype=np.float64))
        if self._as_they_are:
            return self._answer(np.ascontiguousarray(matrix[:, self._places]))
        return self.predict(dict(zip(self.signature.names, matrix.T, strict=True)))

    def _answer(self, matrix: Floats) -> Floats:
        rows, width = matrix.shape
        output = np.empty((rows, self._n_outputs))
        source, target, length = matrix.ctypes.data, output.ctypes.data, ctypes.c_int64()
        if rows <= _ONE_BY_ONE:
            for row in range(rows):
                _check(self._library, self._library.LGBM_BoosterPredictForMatSingleRowFast(
                    self._single, source + 8 * width * row, ctypes.byref(length), target + 8 * self._n_outputs * row,
                ))  # fmt: skip
        else:
            _check(self._library, self._library.LGBM_BoosterPredictForMat(
                self._model, source, _FLOAT64, rows, width, _BY_ROW, _NORMAL, 0, -1, _PARAMETERS,
                ctypes.byref(length), target,
            ))  # fmt: skip
        return self._ordered(output)

    def _ordered(self, output: Floats) -> Floats:
        if not self.signature.classifies:
            return output[:, 0]
        if self._n_outputs == 1:
            output = np.column_stack([1.0 - output[:, 0], output[:, 0]])
        if self.class_order == sorted(self.class_order):
            return output
        return output[:, np.argsort(self.class_order)]

    def __del__(self) -> None:
        if single := getattr(self, "_single", None):
            self._library.LGBM_FastConfigFree(single)
        if model := getattr(self, "_model", None):
            self._library.LGBM_BoosterFree(model)


class _Feature:
    """One feature of the model: which column, and what LightGBM gets for its values."""

    def __init__(self, place: int, spec: Mapping[str, Json]) -> None:
        self.place, self.column, self.null = place, spec["column"], spec.get("null")
        codes = spec.get("codes")
        self.codes = None if codes is None else dict(zip(spec["keys"], map(_or_nan, codes), strict=True))
        self._other, self._null = _or_nan(spec.get("other")), _or_nan(self.null)

    def numbers(self, values: npt.NDArray[Any]) -> Any:
        """(n_rows,) numbers."""
        if self.codes is None:
            return values if self.null is None else np.where(np.isnan(values), self._null, values)
        codes, other, null = self.codes, self._other, self._null
        return [null if v is None or v != v else codes.get(v, other) for v in values.tolist()]


def _or_nan(value: Json) -> float:
    return float("nan") if value is None else float(value)


def load(content: bytes, opening: Opening) -> LightGbm:
    """The twin that `twin_content` wrote. Raises ArtefactRefused when it is none."""
    try:
        spec = json.loads(content)
        return LightGbm(spec["model"], opening.signature, spec["features"], spec["order"])
    except (KeyError, TypeError, ValueError) as error:
        raise ArtefactRefused(f"this is no LightGBM twin: {type(error).__name__}: {error}") from error


def twin_text(content: bytes) -> str:
    """The model's text inside a twin. Raises ArtefactRefused when there is none."""
    try:
        return str(json.loads(content)["model"])
    except (KeyError, TypeError, ValueError) as error:
        raise ArtefactRefused(f"this is no LightGBM twin: {type(error).__name__}: {error}") from error


def twin_content(text: str, features: Sequence[Mapping[str, Json]], order: Sequence[int]) -> bytes:
    """A twin as JSON: {model: its text, features, order: see `LightGbm`}."""
    spec = {"model": text, "features": list(features), "order": list(order)}
    return json.dumps(spec, sort_keys=True, allow_nan=False).encode()


def load_text(content: bytes, opening: Opening) -> LightGbm:
    """The model of this text, as `Booster.model_to_string` or `save_model` write it.

    Its features are columns by name, or by place where it was trained on an array without names. LightGBM numbers its
    classes 0, 1, …, and so must the signature.
    """
    text, signature = decoded(content), opening.signature
    return LightGbm(text, signature, text_features(text, signature), numbered_order(signature))


def decoded(content: bytes) -> str:
    """The text of these bytes, or ArtefactRefused."""
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise ArtefactRefused(f"found bytes that are no text ({error}), expected a LightGBM model") from error


def numbered_order(signature: Signature) -> list[int]:
    """The place of the classes 0, 1, … in the signature. Raises ArtefactRefused when these are not its classes."""
    place = {label: i for i, label in enumerate(signature.classes)}
    try:
        return [place[number] for number in range(len(place))]
    except KeyError:
        shown = ", ".join(repr(label) for label in signature.classes)
        raise ArtefactRefused(
            f"a LightGBM Booster numbers its classes 0, 1, …; the signature has {shown}. Number the target in load as "
            "the Booster was trained on, or register an LGBMClassifier, which knows its classes."
        ) from None


def pack(model: Any, opening: Opening) -> tuple[str, bytes]:
    """The part of a version that holds a Booster (or its text, or a `LightGbm`). Raises ArtefactRefused for a text
    whose trees are damaged (`forest`)."""
    if isinstance(model, LightGbm):
        return TEXT_PART, model.text.encode()
    if isinstance(model, bytes | str):
        content = model if isinstance(model, bytes) else model.encode()
        check_text(decoded(content))
        return TEXT_PART, content
    return TEXT_PART, model.model_to_string().encode()


def text_features(text: str, signature: Signature) -> list[dict[str, Json]]:
    """The features of a model's text as columns of the signature. Raises ArtefactRefused where they do not suit."""
    names = next((line[14:].split() for line in text.splitlines() if line.startswith("feature_names=")), [])
    columns = {column.name.replace(" ", "_"): column for column in signature.columns}
    if names == [f"Column_{i}" for i in range(len(columns))]:
        names = list(columns)
    unknown = [name for name in names if name not in columns]
    if unknown or not names:
        raise ArtefactRefused(
            f"the model takes {', '.join(unknown) or 'no feature'}; the signature has {', '.join(signature.names)}"
        )
    taken = [columns[name] for name in names]
    words = [column.name for column in taken if column.type not in SCALAR]
    categories = pandas_categories(text)
    if len(categories) != len(words):
        raise ArtefactRefused(
            f"the model knows categories of {len(categories)} columns, and {len(words)} of the signature hold text: "
            f"{', '.join(words) or 'none'}. Train on columns of the dtype category where they hold text."
        )
    known = dict(zip(words, categories, strict=True))
    return [category_feature(c.name, known[c.name]) if c.name in known else {"column": c.name} for c in taken]


def category_feature(column: str, categories: Sequence[Any]) -> dict[str, Json]:
    """A column of the dtype category as LightGBM gets it: the place of each category, nothing for another."""
    return {"column": column, "keys": list(categories), "codes": [float(i) for i in range(len(categories))]}


def pandas_categories(text: str) -> list[list[Any]]:
    """The categories of each column of the dtype category, which LightGBM writes at the end of a model."""
    found = text.rpartition("\npandas_categorical:")[2].strip()
    return json.loads(found) or [] if found.startswith(("[", "null")) else []


@cache
def library() -> ctypes.CDLL:
    """LightGBM's C library, from the folder of the package. Raises MissingExtra where there is none."""
    spec = find_spec("lightgbm")
    if spec is None or spec.origin is None:
        raise MissingExtra("lightgbm", purpose="a LightGBM version")
    folder, name = Path(spec.origin).parent, _NAMES.get(sys.platform, "lib_lightgbm.so")
    prefix = Path(sys.prefix)  # where conda puts it
    places = [folder / "lib", folder / "bin", folder.parent, prefix / "lib", prefix / "Library" / "bin"]
    path = next((place / name for place in places if (place / name).is_file()), None)
    if path is None:
        raise ArtefactRefused(f"found no {name} in {', '.join(map(str, places))}: install lightgbm anew")
    try:
        return _declared(ctypes.CDLL(str(path)))
    except OSError as error:  # the smallest machines lack the OpenMP runtime
        raise ArtefactRefused(f"{path} does not load: {error}. It needs the OpenMP runtime (libgomp1).") from None


def _declared(found: ctypes.CDLL) -> ctypes.CDLL:
    """Pointers as pointers: ctypes passes 32 bits where nothing is said."""
    pointer, whole, text = ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p
    found.LGBM_GetLastError.restype = text
    found.LGBM_BoosterLoadModelFromString.argtypes = [text, pointer, pointer]
    found.LGBM_BoosterGetNumClasses.argtypes = [pointer, pointer]
    found.LGBM_BoosterGetNumFeature.argtypes = [pointer, pointer]
    found.LGBM_BoosterPredictForMatSingleRowFastInit.argtypes = [pointer, *[whole] * 4, ctypes.c_int32, text, pointer]
    found.LGBM_BoosterPredictForMatSingleRowFast.argtypes = [pointer] * 4
    found.LGBM_BoosterPredictForMat.argtypes = [
        pointer, pointer, whole, ctypes.c_int32, ctypes.c_int32, *[whole] * 4, text, pointer, pointer,
    ]  # fmt: skip
    found.LGBM_FastConfigFree.argtypes = found.LGBM_BoosterFree.argtypes = [pointer]
    return found


def _loaded(found: ctypes.CDLL, text: str) -> tuple[ctypes.c_void_p, int]:
    """The model and how many numbers it gives a row."""
    if not text.startswith("tree\n"):
        raise ArtefactRefused(f"found {text[:20]!r}…, expected the text of a LightGBM model, which begins with 'tree'")
    model, rounds, outputs = ctypes.c_void_p(), ctypes.c_int(), ctypes.c_int()
    _check(found, found.LGBM_BoosterLoadModelFromString(text.encode(), ctypes.byref(rounds), ctypes.byref(model)))
    _check(found, found.LGBM_BoosterGetNumClasses(model, ctypes.byref(outputs)))
    return model, outputs.value


def _single(found: ctypes.CDLL, model: ctypes.c_void_p, width: int) -> ctypes.c_void_p:
    """What the call for single rows needs, made once."""
    known, made = ctypes.c_int(), ctypes.c_void_p()
    _check(found, found.LGBM_BoosterGetNumFeature(model, ctypes.byref(known)))
    if known.value != width:
        raise ArtefactRefused(f"the model takes {known.value} features, and {width} columns were found for it")
    _check(found, found.LGBM_BoosterPredictForMatSingleRowFastInit(
        model, _NORMAL, 0, -1, _FLOAT64, width, _PARAMETERS, ctypes.byref(made)
    ))  # fmt: skip
    return made


def _check(found: ctypes.CDLL, code: int) -> None:
    if code != 0:
        raise ArtefactRefused(f"LightGBM says: {found.LGBM_GetLastError().decode(errors='replace')}")


def _check_outputs(outputs: int, order: list[int], signature: Signature) -> None:
    if not signature.classifies:
        if outputs != 1:
            raise ArtefactRefused(f"the model gives {outputs} numbers a row, expected one for a {signature.kind} task")
    elif max(outputs, 2) != len(signature.classes) or sorted(order) != list(range(len(signature.classes))):
        raise ArtefactRefused(f"the model knows {max(outputs, 2)} classes; the signature has {len(signature.classes)}")
