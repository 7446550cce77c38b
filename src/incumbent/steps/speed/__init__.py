"""Step 4. Can it answer inside its latency budget?

    measure   time single rows and judge the upper bound of p99 against the budget
    distil    a large teacher's knowledge in a small student, if that keeps the teacher's gain

Compiling, the cheapest rung, happens at registration (`runtimes.compile`).
"""

from incumbent.steps.speed.distil import HeldOut, distil, folds, soft_targets, student
from incumbent.steps.speed.measure import judge, measure

__all__ = ["HeldOut", "distil", "folds", "judge", "measure", "soft_targets", "student"]
