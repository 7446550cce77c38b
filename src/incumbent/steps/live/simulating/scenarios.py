"""What is simulated: each scenario a made-up trial with a known truth, and what must be true of many of them.

In: nothing but the stated limits. Out: every scenario, in the order of the table. A scenario draws one trial and tells
what became of it, by our rule and by a naive one, as plain numbers; what many of them say is counted in `running`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

Generator = np.random.Generator
Found = Mapping[str, float]
Draw = Callable[[Generator], Found]


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of the runs of a scenario: the share, the median or the mean of `of`, beside that of `naive`.

    `limit` is stated for R runs without end; None: shown for what it is. `unit` is that of a median or mean.
    """

    what: str
    of: str
    limit: float | None = None
    kind: Literal["share", "median", "mean"] = "share"
    at_most: bool = True
    naive: str | None = None
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Scenario:
    """A made-up trial. `draw` is a function of a module (processes are handed it); `naive` says the naive rule.

    `most`: no more runs than this are made (each of them is long, and says much).
    """

    name: str
    title: str
    draw: Draw
    questions: Sequence[Question]
    naive: str = ""
    most: int | None = None
