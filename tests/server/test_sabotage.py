"""Challengers that somebody broke, on a real server with a real ticker; all eight, and two that are whole, are
`python benchmarks/sabotage.py`."""

import sys
from importlib import import_module
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
sabotage = import_module("sabotage")

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="a challenger's process is killed with its group")


@pytest.mark.slow
def test_what_is_broken_is_stopped_and_fails_no_request(tmp_path: Path) -> None:
    """Exceptions, NaN and flipped labels: each is rolled back, for the right reason, within ten days of flights."""
    flights = sabotage.Flights(tmp_path, "2013-04-01", train_from="2013-03-01")
    try:
        found = list(sabotage.sabotaged(flights, ["exceptions", "NaN", "flipped"], days=10))
        roles = flights.project.roles()
    finally:
        flights.close()
    for ended in found:
        assert sabotage.right(ended), sabotage.line(ended)
        assert ended.rows > 0
    assert (len(found), roles.incumbent, roles.trial) == (3, "v1", None)
