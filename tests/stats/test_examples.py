"""The examples in the docstrings of incumbent.stats print what they say, and metrics stays light."""

import doctest
import importlib
import pkgutil
import subprocess
import sys

import pytest

import incumbent.stats

MODULES = [module.name for module in pkgutil.iter_modules(incumbent.stats.__path__)]


@pytest.mark.parametrize("name", MODULES)
def test_every_file_has_examples_and_they_hold(name: str) -> None:
    """At least one example a file, none of them wrong."""
    result = doctest.testmod(importlib.import_module(f"incumbent.stats.{name}"))
    assert result.attempted > 0 and result.failed == 0


def test_metrics_load_numpy_and_no_scipy() -> None:
    """The answering path computes row losses: it must not pay for scipy, pandas or scikit-learn."""
    code = "import sys, incumbent.stats.metrics; print(*{'scipy', 'pandas', 'sklearn'} & set(sys.modules))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert loaded.stdout.strip() == ""
