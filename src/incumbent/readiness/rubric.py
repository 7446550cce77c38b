"""The 28 tests of the ML Test Score, in our own words, and how each is earned here.

After Breck, Cai, Nielsen, Salib & Sculley, "The ML Test Score: A Rubric for ML Production Readiness and Technical Debt
Reduction", IEEE Big Data 2017. Four groups of seven. Half a point for what was done by hand and written down, a whole
one for what runs by itself; the score is the smallest of the four sums.
"""

from dataclasses import dataclass

GROUPS = {
    "data": "Features and data",
    "model": "Model development",
    "infrastructure": "Infrastructure",
    "monitoring": "Monitoring",
}
BANDS = (
    (0.0, "a research project rather than a system in production"),
    (1.0, "not wholly untested, but there may be serious holes in its reliability"),
    (2.0, "a first pass at production; more investment may be needed"),
    (3.0, "reasonably tested; more of it could run by itself"),
    (5.0, "strongly tested and monitored: fit for what must not fail"),
    (float("inf"), "exceptionally well tested and monitored"),
)
"""Score up to and including -> what the paper says of it."""


@dataclass(frozen=True, slots=True)
class Test:
    """One test: `says` what holds when it is passed, `earn` what to do for it. `attested` only: no fact that we record
    can show it, so that a person says it (half a point at most)."""

    id: str
    says: str
    earn: str
    attested: bool = False

    @property
    def group(self) -> str:
        return next(group for group in GROUPS if group.startswith(self.id.split("-")[0]))


def band(score: float) -> str:
    """What a score means, in the paper's six bands.

    >>> band(0.0), band(2.5)
    ('a research project rather than a system in production', 'reasonably tested; more of it could run by itself')
    """
    return next(said for most, said in BANDS if score <= most)


TESTS = (
    Test("data-schema", "What each feature may hold is written down, and every row is held against it",
         "register a version (signature and profile) and answer rows with it"),
    Test("data-useful", "Each feature is worth having: without it the model is worse",
         "leave out one feature (or a group) at a time, gate it, and attest what was found", attested=True),
    Test("data-cost", "No feature costs more than it is worth: latency, upkeep, another team's feed",
         "weigh what each feature costs against what it gains, and attest it", attested=True),
    Test("data-allowed", "Only features that may be used reach the model",
         "list them in task.features: nothing else is read"),
    Test("data-private", "Personal data is under control from request to deletion",
         "set task.private or log.keep_days; `incumbent forget` erases by hand"),
    Test("data-new", "A new idea reaches production soon",
         "take a second recipe through gate and trial: its days are counted"),
    Test("data-tested", "The code that makes features is tested",
         "test features() and load() in the project's own CI, and attest it", attested=True),
    Test("model-reviewed", "What trains the model is under version control, and somebody else read it",
         "keep task.py under version control and review, and attest it: versions remember its digest", attested=True),
    Test("model-correlates", "What is better on held-out rows is better on live traffic",
         "try a gated version on live traffic: the two gains are compared"),
    Test("model-tuned", "The hyperparameters were searched, not guessed",
         "search them in the training code, and attest how", attested=True),
    Test("model-stale", "It is known what an old model costs",
         "let the ticker retrain: the replaced version is scored beside its successor"),
    Test("model-simpler", "Nothing simpler is as good",
         "run `incumbent baseline`, and promote what the gate ships against it"),
    Test("model-slices", "It is good enough on every slice that matters",
         "name slices in the gate, or attest how they were looked at"),
    Test("model-fair", "It was tested for whom it treats worse",
         "compare errors and decisions between groups of people, and attest what was found", attested=True),
    Test("infrastructure-reproducible", "Training twice on the same rows gives the same model",
         "register the same recipe twice on the same rows: the artefacts are compared"),
    Test("infrastructure-tested", "The code that trains is unit tested",
         "test train() on a few rows in the project's own CI, and attest it", attested=True),
    Test("infrastructure-integrated", "The whole way from rows to answers runs, and is tested as a whole",
         "let the ticker refit and promote (retrain.every): half a point for going the way by hand"),
    Test("infrastructure-validated", "No model serves before its quality was judged",
         'promote what the gate shipped, with gate.mode = "enforce"'),
    Test("infrastructure-debuggable", "One answer can be taken apart, step by step",
         "serve: every answer is logged with its features, version and reason"),
    Test("infrastructure-canaried", "A model meets some of the traffic before it meets all of it",
         "start a trial (`incumbent live start`), and let its verdict promote"),
    Test("infrastructure-rollback", "The version before can be called back at once, and that was tried",
         "promote a second version; try `incumbent rollback` once in calm weather"),
    Test("monitoring-dependencies", "What the model depends on does not change unseen",
         "golden rows show a changed library at each load; the ticker's feed check shows changed data"),
    Test("monitoring-inputs", "What must hold of the data is watched, in training and in serving",
         "serve (each row is held against the signature), and let the ticker check the feed"),
    Test("monitoring-skew", "Features are the same in training and in serving",
         "set task.id: the ticker compares rows as served with rows as loaded"),
    Test("monitoring-age", "The model is not older than the plan allows",
         "set retrain.every, and let the ticker run"),
    Test("monitoring-numbers", "No NaN and no infinity leaves it",
         "serve: an output that is no finite number is counted, and the fallback answers"),
    Test("monitoring-speed", "How fast it answers is held against a budget",
         "set plan.latency_budget_ms and run `incumbent speed` on the incumbent"),
    Test("monitoring-quality", "How good it is on what it serves is watched",
         "post outcomes and let the ticker run: trials, watches and harm alarms look at them"),
)  # fmt: skip
BY_ID = {test.id: test for test in TESTS}
