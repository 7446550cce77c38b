"""Traffic of a split trial, written straight into the log: quick, and as much of it as a bound needs."""

import numpy as np

from incumbent.loop import outcome
from incumbent.loop.route import assign, routes
from incumbent.project import Project
from incumbent.records import DAY, Micros, Outcome, Prediction

HOUR: Micros = DAY // 24


def answered(
    project: Project, since: Micros, until: Micros, *, a_day: int = 400, seed: int = 1, good: float = 0.8,
    told_after: Micros = HOUR, revenue: float | None = None, unlabelled: float = 0.0, slow: float = 0.0,
) -> None:  # fmt: skip
    """`a_day` units with one answer each, dealt to the arms of the running trial. The challenger gives the truth the
    probability `good`, the incumbent .7; labels come `told_after` later, with a revenue where one is named.
    `unlabelled`: the share of the challenger's labels that never come; `slow`: that of its answers that take 50 ms."""
    rng = np.random.default_rng([seed, since // HOUR])
    roles = project.roles()
    now, trial = routes(roles), roles.trial
    assert now is not None and trial is not None
    times = range(since, until, DAY // a_day)
    rows, outcomes = [], []
    for number, at in enumerate(times):
        id = f"{trial.name}-{trial.phase}-{since // HOUR}-{number}"
        dealt = assign(now, id)
        if dealt.arm is None:
            continue
        late, sure = int(rng.random() < 0.4), (good if dealt.arm == "challenger" else 0.7) + rng.normal(0, 0.03)
        rows.append(Prediction(
            id, at, {"weight": 0.0}, dealt.version, dealt.version, (1 - sure, sure) if late else (sure, 1 - sure),
            unit=id, trial=trial.name, phase=trial.phase, arm=dealt.arm,
            latency_us=50_000 if dealt.arm == "challenger" and rng.random() < slow else 1_000,
        ))  # fmt: skip
        if dealt.arm == "incumbent" or rng.random() >= unlabelled:
            outcomes.append(Outcome(id, late, at + told_after))
        if revenue is not None:
            outcomes.append(Outcome(id, revenue * float(rng.gamma(2, 0.5)), at + told_after, "revenue"))
    project.facts.log.append(rows)
    project.facts.log.append_outcomes(outcomes)
    outcome.settle(project.facts.log, project.roles().versions["v1"].signature, project.metric)
