"""A past is rehearsed on the small project of the tests of `project`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "project"))
