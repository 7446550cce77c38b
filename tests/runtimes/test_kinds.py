"""The tables name functions that there are; what is not in them, or not installed, is said."""

import sys
from importlib import import_module
from importlib.util import find_spec

import pytest

from incumbent.errors import ArtefactRefused, MissingExtra
from incumbent.runtimes import kinds


@pytest.mark.parametrize(
    ("module", "name", "runtime"),
    [
        ("lightgbm.basic", "Booster", "lightgbm"),
        ("lightgbm.sklearn", "LGBMClassifier", "sklearn"),
        ("xgboost.core", "Booster", "xgboost"),
        ("xgboost.sklearn", "XGBClassifier", "xgboost"),
        ("catboost.core", "CatBoostClassifier", "catboost"),
        ("torch.nn.modules.module", "Module", "torch"),
        ("sklearn.pipeline", "Pipeline", "sklearn"),
        ("task", "Mine", "sklearn"),
    ],
)
def test_a_model_says_itself_what_it_is(module: str, name: str, runtime: str) -> None:
    """By its class, without its package."""
    assert kinds.runtime_of(type(name, (), {"__module__": module})()) == runtime
    assert kinds.runtime_of(b"bytes") == "onnx"


ENTRIES = {*kinds.PACKERS.values(), *kinds.LOADERS.values(), *kinds.TWINS.values(), *kinds.NETWORKS.values()}


@pytest.mark.parametrize("target", sorted({*ENTRIES, kinds.NETWORK, kinds.TRANSLATE, kinds.PROOF}))
def test_every_entry_names_a_function(target: str) -> None:
    """Of a module of ours; those of extras where their package is installed."""
    module, name = target.split(":")
    package = module.rsplit(".", 1)[-1]
    if package in kinds.EXTRAS and find_spec(package) is None:
        pytest.skip(f"{package} is an extra")
    assert callable(getattr(import_module(module), name))


def test_what_is_in_no_table_is_refused() -> None:
    with pytest.raises(ArtefactRefused, match=r"found the runtime or part 'magic', expected one of rule, onnx"):
        kinds.runtime_in(kinds.PACKERS, "magic")


@pytest.mark.parametrize(
    ("package", "extra"), [("xgboost", "xgboost"), ("catboost", "catboost"), ("torch", "torch"), ("sklearn", "all")]
)
def test_a_package_that_is_missing_is_named_with_its_extra(
    monkeypatch: pytest.MonkeyPatch, package: str, extra: str
) -> None:
    """And nothing else is imported in its place."""
    monkeypatch.setitem(sys.modules, package, None)
    for name in [name for name in sys.modules if name.startswith(f"{package}.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, f"incumbent.runtimes.{package}", raising=False)
    with pytest.raises(MissingExtra, match=rf"incumbent\[{extra}\]"):
        kinds.runtime_in(kinds.PACKERS, package)
