"""The trials that are simulated end as real looks at the same sums would end them: `judge_split`, look by look."""

import copy
from typing import Any

import numpy as np
import pytest

from incumbent.records import DAY, Trial
from incumbent.stats import metrics
from incumbent.steps.live import trial as real
from incumbent.steps.live.simulating import looking, whole
from incumbent.storage.base import ArmSums, Mark, Moments, TrialSums

SCENARIOS = {one.name: one for one in whole.all_of()}
TRIAL = Trial("t1", "v2", "v1", "split", 0)


def sums(losses: Any, challenger: Any, failed: Any, late: Any, exposed: int, matured: int, now: int) -> TrialSums:
    """What the log would have summed: units of one row each."""
    arms = {}
    for name, taken in (("challenger", challenger), ("incumbent", ~challenger)):
        seen, known = taken[:exposed], taken[:matured]
        units, n, y = int(seen.sum()), int(known.sum()), int((losses[:matured] * known).sum()) * 10**9
        bad, slow = (int((events[:exposed] & seen).sum()) for events in (failed, late))
        loss = Moments(n=n, x=n, y=y, xx=n, yy=y * 10**9, xy=y)
        moments = {"loss": loss, "matured": Moments(n=n, x=n, y=n * 10**9, xx=n, yy=n * 10**18, xy=n * 10**9)}
        arms[name] = ArmSums(units, units, bad, bad, slow, slow, n, n, n, 0, moments)
    return TrialSums(Mark(now), arms, once=exposed)  # type: ignore[arg-type]


def really(losses: Any, challenger: Any, failed: Any, late: Any) -> str:
    """The verdict that ends it, by the functions that judge a real trial."""
    came = looking.ends(len(losses), (whole.LIVE.max_days - 1) * whole.A_DAY)
    exposed = [*came, *[len(losses)] * whole.A_DAY]
    matured = [*[0] * whole.A_DAY, *came]
    before, brier = None, metrics.get("brier", "binary")
    for look, (seen, known) in enumerate(zip(exposed, matured, strict=True), start=1):
        now = look * DAY // whole.A_DAY
        found = sums(losses, challenger, failed, late, int(seen), int(known), now)
        before = real.judge_split(TRIAL, found, whole.LIVE, brier, now, before=before, planned=whole._units())
        if before.verdict != "continue":
            return before.verdict
    return "continue"


@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.parametrize("number", range(2))
def test_a_simulated_trial_ends_as_a_real_one(name: str, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Equal, better, worse, failing, broken: the same word."""
    drawn: list[Any] = []
    judged = whole._judged

    def kept(losses: Any, challenger: Any, failed: Any, g: Any) -> Any:
        late = copy.deepcopy(g).uniform(size=len(losses)) < whole.LATE
        drawn.append((losses, challenger, failed, late))
        return judged(losses, challenger, failed, g)

    monkeypatch.setattr(whole, "_judged", kept)
    found = SCENARIOS[name].draw(np.random.default_rng([8, number]))
    ended = really(*drawn[0])
    words = {"promote": "promoted", "roll_back": "rolled_back", "invalid": "invalid"}
    assert {word: found[words[word]] for word in words} == {word: ended == word for word in words}
