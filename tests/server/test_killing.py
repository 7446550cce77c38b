"""kill -9 in the middle of the traffic, four times; twenty are `python benchmarks/killing.py`."""

import sys
from importlib import import_module
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
killing, sites = import_module("killing"), import_module("sites")

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes through /proc")


@pytest.mark.slow
def test_what_was_acknowledged_is_in_the_log_exactly_once(tmp_path: Path) -> None:
    """A process alone, one of two, the supervisor with both, and one of two again, on one store: retries hear the same
    answer, what was cut off may be sent again, and outcomes find their predictions."""
    folder, told = sites.project(tmp_path / "project"), killing.Told()
    for number, way in enumerate((*killing.WAYS, "one of two")):
        killing.kill_once(folder, way, number, told)
        assert told.wrong == [], way
    assert len(told.answers) >= 4 * killing.ACKNOWLEDGED and told.cut_off > 0
