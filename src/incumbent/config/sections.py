"""What may be set: the sections of incumbent.toml as dataclasses, each field with its unit, default and one sentence.

Out: frozen values. Reads and checks nothing: `reading` does, and `checks` says which of them contradict each other.
"""

import re
from collections.abc import Iterator
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

from incumbent.records import Kind, Label

LONGEST_NAME = 63  # of a schema in PostgreSQL, in bytes


def _setting(default: Any, sentence: str, unit: str = "") -> Any:
    return field(default=default, metadata={"sentence": sentence, "unit": unit})


@dataclass(frozen=True, slots=True)
class Task:
    """What is predicted, from what, and how it is judged."""

    name: str = _setting(MISSING, "Name of the task; shown on every page and metric.")
    kind: Kind = _setting(MISSING, "What is predicted: binary, multiclass, regression or forecast.")
    target: str = _setting(MISSING, "Column that holds the truth.")
    metric: str = _setting(MISSING, "How a prediction is judged: brier, log_loss, accuracy, squared_error, ...")
    code: str = _setting("", "Python file with load, train and (optional) features; empty: no retraining.")
    time: str = _setting("", "Column with the time of the request; with it every split is by time.")
    label_time: str = _setting("", "Column with the time at which the truth became known.")
    unit: str = _setting("", "Column that says who is assigned in a trial; empty: each request by itself.")
    id: str = _setting("", "Column that identifies a row.")
    timezone: str = _setting("", "IANA zone of naive timestamps and of days, e.g. America/New_York.")
    features: tuple[str, ...] = _setting((), "Feature columns; empty: all but target, time, label_time and id.")
    not_null: tuple[str, ...] = _setting((), "Features that may never be null.")
    private: tuple[str, ...] = _setting((), "Columns that are never logged as they came, only hashed.")
    positive: Label | None = _setting(None, "The positive class of a binary task; default: the larger one.")
    series: str = _setting("", "Forecast: column that tells several series apart.")
    horizon: int = _setting(1, "Forecast: how many steps ahead.", "steps")
    season: int = _setting(0, "Forecast: length of the season; 0: found in the data.", "steps")
    lags: int = _setting(0, "Forecast: lag columns a row carries; 0: twice the season, at least 14.", "steps")


@dataclass(frozen=True, slots=True)
class Plan:
    """What the team decides at the onset. What is unanswered stays red on the dashboard and in `doctor`."""

    beat: str = _setting("", "What must be beaten: a rule, measured people, or the system already in place.")
    ship_when: str = _setting("", "When a candidate may go to production.")
    fall_back_on: str = _setting("", "What answers when the model breaks.")
    latency_budget_ms: float = _setting(0.0, "How long one prediction may take (99th percentile).", "ms")
    retrain: str = _setting("", "How often, or on what sign, the model is retrained.")
    reviewers: tuple[str, ...] = _setting((), "Who answers doubtful predictions.")
    goal: float | None = _setting(
        None, "What the team hopes for on held-out rows; incumbent expect says whether it can be reached.", "metric"
    )

    def answers(self) -> Iterator[tuple[Field[Any], str | None]]:
        """Each question as its field, with the answer as text; None where nothing was said.

        >>> [field.name for field, answer in Plan(beat="people", goal=0.0).answers() if answer]
        ['beat', 'goal']
        """
        for question in fields(self):
            value = getattr(self, question.name)
            answered = value is not None if question.name == "goal" else bool(value)
            text = ", ".join(value) if isinstance(value, tuple) else f"{value:g}" if isinstance(value, float) else value
            yield question, text if answered else None


@dataclass(frozen=True, slots=True)
class Store:
    """Where facts are kept and how safe they are before an answer leaves."""

    path: str = _setting(".incumbent", "Folder of the store, relative to the project.")
    url: str = _setting(
        "", "postgresql://user@host/database keeps log and ledger there (PGPASSWORD for a password); empty: SQLite."
    )
    schema: str = _setting("", "Schema in that database; empty: incumbent_ and the name of the task.")
    durability: Literal["commit", "fsync", "behind"] = _setting(
        "commit",
        "commit survives a killed process, fsync a power cut; behind answers first and writes some hundredths of a "
        "second later.",
    )
    lock_timeout_s: float = _setting(10.0, "How long to wait for another process on the same store.", "s")


@dataclass(frozen=True, slots=True)
class Keeping:
    """How long rows of the log stay, and where. Days are those of task.timezone."""

    archive_days: int = _setting(
        0,
        "Days that stay whole in the store; the features of older ones move to Parquet. 0: never (whoever reads rows "
        "of such a day needs duckdb).",
        "days",
    )
    keep_days: int = _setting(
        0, "Older days are deleted for good: predictions, outcomes, reviews, Parquet. 0: kept for ever.", "days"
    )


@dataclass(frozen=True, slots=True)
class People:
    """Step 1: what people reach, measured before a model replaces them."""

    rows: int = _setting(1000, "Rows that people label blind; 1,000 give ±1.9 points at 90 % accuracy.", "rows")
    twice: float = _setting(0.15, "Share of them that a second person labels too.", "0-1")
    margin: float = _setting(
        0.02,
        "How much worse than people a model may be and still replace them: in accuracy for classes (0.02 is 2 points), "
        "as a share of people's loss for numbers.",
    )
    min_rows: int = _setting(100, "Fewer rows give no verdict.", "rows")
    cost_per_hour: float = _setting(0.0, "What an hour of a person costs; 0: only hours are told.")


@dataclass(frozen=True, slots=True)
class Versions:
    """What may be loaded."""

    trust: tuple[str, ...] = _setting((), "Types that a skops file may bring, beside the ones that skops trusts.")
    pickle: bool = _setting(False, "Load pickles whose hash is in our own ledger (a pickle can run any code).")
    code: bool = _setting(
        False, "Run folders of code (predictor.py) whose hash is in our own ledger, in a process of their own."
    )
    unpacked_mb: int = _setting(4096, "A skops file that unpacks to more is refused before it is unpacked.", "MB")
    compile: bool = _setting(True, "Make a twin (linear, ONNX, LightGBM) and serve it where it is proved equal.")
    golden_rows: int = _setting(50, "Rows that a version must repeat at every load.", "rows")
    memory_mb: int = _setting(
        2048, "What the process of a version may take beside what it had when it was opened (Linux); 0: no limit.", "MB"
    )


@dataclass(frozen=True, slots=True)
class Baseline:
    """Step 1: what must be beaten, beside the naive rules that suit the task anyway?"""

    columns: tuple[str, ...] = _setting(
        (), "Columns that already are a prediction (an existing system, a price list); one that is a feature is a rule."
    )
    callables: tuple[str, ...] = _setting(
        (), "Functions of the code file that answer rows: features in, one number or probability a row out."
    )
    mlflow: str = _setting("", "URI of an MLflow model to compare with, e.g. models:/price/3 (needs mlflow).")
    url: str = _setting("", "Endpoint of the system that answers today: it is asked on the held-out rows.")
    url_format: Literal["rows", "instances", "dataframe_records"] = _setting(
        "rows", "Shape of a question: rows (incumbent's), instances (KServe, TensorFlow), dataframe_records (MLflow)."
    )
    url_rows: int = _setting(2_000, "At most so many held-out rows are asked, evenly over all of them; 0: all.", "rows")
    url_batch: int = _setting(100, "Rows a question.", "rows")
    url_timeout_s: float = _setting(10.0, "How long one question may take.", "s")
    url_total_s: float = _setting(300.0, "How long all questions together may take.", "s")
    url_retries: int = _setting(3, "How often a question is asked again after a fault that may pass.")
    url_token_env: str = _setting("", "Environment variable that holds the endpoint's bearer token.")
    url_answers: bool = _setting(
        False, "The endpoint may answer new rows: be the incumbent, or stand behind it. Else it is compared with only."
    )
    incumbent: str = _setting(
        "",
        "Who is the first incumbent where there is none: a column or function named here, url, or mlflow; empty: the "
        "best naive rule.",
    )
    simple: Literal["off", "listed", "incumbent"] = _setting(
        "listed",
        "A tree of depth 3 and a straight line (of a forecast an autoregression): listed shows what they reach, "
        "incumbent lets them be the baseline.",
    )
    origins: int = _setting(
        5, "Forecast: the rules are fitted again at so many points of the held-out stretch (rolling origin)."
    )


@dataclass(frozen=True, slots=True)
class Slice:
    """One `[[gate.slice]]`: rows that must not lose, whatever the mean gains. Give one of the two rules."""

    column: str = _setting(MISSING, "Column of the rows (a feature or not) that tells the slices apart.")
    value: Label | None = _setting(None, "Its value in this slice; none: every value is a slice, small ones together.")
    no_worse_than: float | None = _setting(None, "Loss that is allowed in the slice (non-inferiority).", "metric")
    better_by: float | None = _setting(None, "The gain in the slice must be larger than this.", "metric")
    min_slice_size: int = _setting(0, "Fewer rows give no verdict; 0: gate.min_slice_size.", "rows")


@dataclass(frozen=True, slots=True)
class Rule:
    """One `[[gate.rule]]`: a metric beside `task.metric` that must hold too. Give one of the two."""

    metric: str = _setting(MISSING, "A metric that suits the task's kind.")
    no_worse_than: float | None = _setting(None, "Loss that is allowed (non-inferiority).", "metric")
    better_by: float | None = _setting(None, "The gain must be larger than this.", "metric")


@dataclass(frozen=True, slots=True)
class Gate:
    """Step 2: is a candidate good enough on the same held-out rows?"""

    mode: Literal["enforce", "dry_run", "off"] = _setting(
        "enforce", "enforce; dry_run: judges and lets pass; off: judges no new recipe, and says so."
    )
    holdout: float = _setting(0.2, "Share of the rows held out: the latest ones where there is a time.", "0-1")
    holdout_days: int = _setting(0, "Days held out instead of a share; 0: use the share.", "days")
    better_by: float = _setting(0.0, "The gain must be larger than this, shown at the confidence below.", "metric")
    no_worse_than: float | None = _setting(
        None, "Non-inferiority: a loss of up to this margin is allowed (a faster or simpler model).", "metric"
    )
    suspicious_if_better_by: float = _setting(
        0.5, "Share of the loss gone that smells of leakage; 0: no alarm.", "0-1"
    )
    latency_p99_ms: float = _setting(
        0.0, "Upper 95 % bound of the 99th percentile of one answer; 0: no rule of the gate (step 4 tells).", "ms"
    )
    alpha: float = _setting(0.05, "Chance of shipping a candidate that is not better.", "0-1")
    min_rows: int = _setting(200, "Fewer held-out rows give no verdict.", "rows")
    min_slice_size: int = _setting(200, "Fewer rows of a slice give no verdict.", "rows")
    many_looks: int = _setting(10, "From so many candidates on the same held-out rows on, the sentence warns.")
    block: Literal["day", "row", "season", "group"] = _setting(
        "day", "Rows that may depend on each other: those of a day or season (where there is a time), or of a group."
    )
    block_column: str = _setting("", "With block = group: the column of the group; empty: task.unit.")
    slice: tuple[Slice, ...] = _setting((), "Rows that must not lose: tables, see below.")
    rule: tuple[Rule, ...] = _setting((), "Other metrics that must hold: tables, see below.")


@dataclass(frozen=True, slots=True)
class Measure:
    """One `[[live.measure]]`: a number of what people do, from the outcomes that clients post beside the label.

    A unit has a total (y) and a size (x), over its rows whose window has closed. mean: y sums the outcome, x counts the
    rows that have it. sum: y sums the outcome, x is 1. count: y counts the rows whose outcome is not 0, x is 1. ratio:
    y sums the outcome, x sums the outcome `over`.
    """

    name: str = _setting(MISSING, "Name of the measure, e.g. revenue; `loss` is the row loss of task.metric.")
    outcome: str = _setting("", "Name of the outcome that is posted; empty: as the measure; label: a numeric label.")
    of: Literal["mean", "sum", "count", "ratio"] = _setting(
        "mean", "mean of the rows that have it; sum or count a unit; ratio of two sums."
    )
    over: str = _setting("", "Ratio: the outcome below the line.")
    better: Literal["larger", "smaller"] = _setting("larger", "Which way is better.")
    role: Literal["primary", "guardrail", "shown"] = _setting(
        "guardrail", "primary: decides instead of the row loss (at most one); guardrail: must not be harmed; shown."
    )
    margin: float = _setting(
        0.0,
        "Guardrail: so much may be lost; more, shown, is harm, and less must be shown before a promotion (0: a gain).",
        "measure",
    )
    cap: float = _setting(0.0, "One outcome counts at most this (and at least its negative); 0: cap_at.", "outcome")
    cap_at: float = _setting(
        0.999, "Cap at this quantile of the outcomes of the last 28 days before the trial; 0: no cap.", "0-1"
    )


@dataclass(frozen=True, slots=True)
class Live:
    """Step 3: is the challenger better on live traffic?"""

    mode: Literal["shadow", "split", "both"] = _setting(
        "shadow", "shadow: both score each row; split: units are assigned; both: a shadow that wins goes on to a split."
    )
    label_depends_on_prediction: bool = _setting(False, "Does what is served change what happens? Then only a split.")
    promote: Literal["manual", "auto"] = _setting("manual", "Who promotes on the verdict promote.")
    alpha: float = _setting(0.05, "Chance of promoting a challenger that is not better, over all looks.", "0-1")
    alpha_roll_back: float = _setting(0.02, "Budget of false rollbacks, over metric and guardrails.", "0-1")
    min_gain: float = _setting(0.0, "Promote only if the gain is shown larger than this.", "metric")
    smallest_effect: float = _setting(
        0.0,
        "Stop when a gain of this size is excluded, or twice the sample that a single look needs for it is used up; "
        "0: neither.",
        "metric",
    )
    window_hours: float = _setting(24.0, "How long after a prediction its label counts.", "hours")
    min_days: int = _setting(7, "A promotion waits for this many whole days.", "days")
    max_days: int = _setting(28, "After this many days an undecided trial stops: the incumbent stays.", "days")
    min_labels: int = _setting(200, "Labelled rows an arm (or pairs) before a decision.", "rows")
    enrol: tuple[float, ...] = _setting((0.02, 0.1, 0.5, 1.0), "Steps of the enrolled share of a split.", "0-1")
    ramp_hours: float = _setting(24.0, "Least stay on each step.", "hours")
    tolerated_rate: float = _setting(0.005, "Share of failed answers that a challenger may have.", "0-1")
    unit_days: float = _setting(
        28.0, "A unit's rows count for so long after its first one in the trial; then the unit is closed.", "days"
    )
    latency_budget_ms: float = _setting(
        0.0, "An answer that takes longer is over budget; 0: plan.latency_budget_ms (none there either: no guardrail).",
        "ms",
    )
    tolerated_slow: float = _setting(0.01, "Share of answers over budget that a challenger may have.", "0-1")
    harm_margin: float = _setting(
        2.0, "Failed and late answers count as harmless below this many times the incumbent's rate."
    )
    cuped: Literal["unit", "off"] = _setting(
        "unit", "unit: a unit's mean loss before the trial takes away what it explains (CUPED)."
    )
    third_arm: bool = _setting(
        False, "A third of the units: the challenger is called and the incumbent's answer served, which tells latency "
        "from predictions."
    )
    measure: tuple[Measure, ...] = _setting((), "Outcomes beside the label that are compared: tables, see below.")


@dataclass(frozen=True, slots=True)
class Speed:
    """Step 4: can it answer inside its budget?"""

    timings: int = _setting(2000, "Single-row calls that are timed.", "calls")
    keep_gain: float = _setting(0.95, "Share of the teacher's gain over the baseline that a student must keep.", "0-1")
    rounds: tuple[int, ...] = _setting((100,), "Boosting rounds of the students.")
    leaves: tuple[int, ...] = _setting((32,), "Leaves a tree of the students.")


@dataclass(frozen=True, slots=True)
class Retrain:
    """Step 5: when to refit, on which rows, and what happens to the result."""

    recipe: str = _setting("train", "Function of the code file that fits a model.")
    every: str = _setting("", "Cadence: '1 month', '7 days', ...; empty: never by itself.")
    source: Literal["log", "load", "both"] = _setting(
        "log", "Rows: as served (log) after the first logged day, as loaded, or both (duplicates: the log first)."
    )
    auto_refresh: bool = _setting(False, "Promote a refresh at once when its recipe is not shown worse.")
    holdout_days: int = _setting(14, "Latest days on which the recipe is gated before the refit.", "days")
    retry_days: int = _setting(7, "After a refused retrain, try again this many days later.", "days")
    watch_days: int = _setting(28, "The replaced version is scored beside its successor this long.", "days")
    max_rows: int = _setting(0, "Train on at most this many of the latest rows; 0: all.", "rows")


@dataclass(frozen=True, slots=True)
class Reviewing:
    """Step 5: which rows go to people."""

    per_day: int = _setting(100, "Rows a day.", "rows")
    audit: float = _setting(0.2, "Share of them drawn by pure chance.", "0-1")
    seed: str = _setting("review", "Salt of the draw.")


@dataclass(frozen=True, slots=True)
class Serve:
    """The HTTP server and the answering path."""

    host: str = _setting("127.0.0.1", "Address to listen on; another than loopback needs a token.")
    port: int = _setting(8080, "Port; 0: a free one.")
    workers: int = _setting(1, "Answering processes; 0: one, without a supervisor.", "processes")
    deadline_ms: float = _setting(1000.0, "A version that is later than this is passed over.", "ms")
    poll_s: float = _setting(1.0, "How often the ledger is read for new routes.", "s")
    max_body_mb: float = _setting(16.0, "Larger requests are refused (413).", "MB")
    max_rows: int = _setting(10_000, "Rows a request.", "rows")
    max_waiting_rows: int = _setting(20_000, "Rows that may wait for their answer; more are refused (503).", "rows")
    max_columns: int = _setting(2_000, "Features that a row may carry; more are refused (422).", "features")
    max_string: int = _setting(10_000, "Length of a text feature; a longer one is refused (422).", "characters")
    head_s: float = _setting(10.0, "A client that takes longer to send the head of a request is let go.", "s")
    body_s: float = _setting(30.0, "A client that takes longer to send a body is let go (408).", "s")
    keep_alive_s: int = _setting(65, "How long a connection may be idle between two requests.", "s")
    max_ahead_s: float = _setting(300.0, "A request time further ahead of the clock is refused.", "s")
    tick_s: float = _setting(60.0, "How often the ticker runs.", "s")
    look_s: float = _setting(
        1.0,
        "How soon after outcomes the ticker looks at a trial or a watch, at most that often (and a fifth of the time); "
        "0: at its ticks only.",
        "s",
    )
    log_format: Literal["text", "json"] = _setting("text", "One line a record on standard error: text, or JSON.")
    access_log: bool = _setting(False, "Log a line for every request: method, path, status, rows, milliseconds, id.")


@dataclass(frozen=True, slots=True)
class Rehearse:
    """How a project's own past is replayed."""

    since: str = _setting("", "First day that is answered live; rows before it are the onset. ISO date.")
    until: str = _setting("", "Day on which the rehearsal ends; empty: after the last row. ISO date.")
    batch: Literal["hour", "day"] = _setting("hour", "Rows of this stretch of time go into one request.")
    teacher: str = _setting("", "Recipe of a large teacher, distilled at the onset to a student; empty: none.")
    new_recipe: str = _setting("", "Recipe that is gated and tried on the day below; empty: none.")
    new_recipe_on: str = _setting("", "Day on which the new recipe comes up. ISO date.")
    faults: str = _setting("", "Python file whose feed(rows, now) breaks what retraining is fed.")


@dataclass(frozen=True, slots=True)
class Config:
    """The whole of incumbent.toml, and the folder that it lies in."""

    task: Task
    plan: Plan = field(default_factory=Plan)
    store: Store = field(default_factory=Store)
    log: Keeping = field(default_factory=Keeping)
    versions: Versions = field(default_factory=Versions)
    baseline: Baseline = field(default_factory=Baseline)
    people: People = field(default_factory=People)
    gate: Gate = field(default_factory=Gate)
    live: Live = field(default_factory=Live)
    speed: Speed = field(default_factory=Speed)
    retrain: Retrain = field(default_factory=Retrain)
    review: Reviewing = field(default_factory=Reviewing)
    serve: Serve = field(default_factory=Serve)
    rehearse: Rehearse = field(default_factory=Rehearse)
    folder: Path = Path()

    @property
    def store_path(self) -> Path:
        return self.folder / self.store.path

    @property
    def store_schema(self) -> str:
        """The schema of this project in a shared database: lower case, digits and underscores where it is derived."""
        derived = re.sub(r"[^a-z0-9]+", "_", self.task.name.lower()).strip("_")
        return self.store.schema or f"incumbent_{derived}"[:LONGEST_NAME]

    @property
    def zone(self) -> ZoneInfo:
        """The zone of days and of naive timestamps (UTC when none is declared)."""
        return ZoneInfo(self.task.timezone or "UTC")
