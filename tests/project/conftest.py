"""The tests of this folder share `parcels`, a small project."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
