"""The tests of this folder share `flight_rows`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
