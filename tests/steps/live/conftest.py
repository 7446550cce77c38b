"""The tests of this folder share `summing`, sums of a trial in plain Python."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
