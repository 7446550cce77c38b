"""The readiness card: the 28 lines of the ML Test Score, what was found for each, and how to earn it.

In: the stored facts and the settings. Out: one dictionary, which is the page and its JSON twin. Judges nothing: the
card is `incumbent.readiness`'s. The checks of `incumbent doctor` that open versions are not repeated here.
"""

from incumbent import readiness
from incumbent.clock import wall
from incumbent.config import Config
from incumbent.records import Json
from incumbent.storage.opening import Facts
from incumbent.web import dashboard


def page(facts: Facts, config: Config) -> dict[str, Json]:
    """The whole card."""
    return {"task": dashboard.task(config), **readiness.card(config, facts, wall()).to_dict()}
