"""The contracts of the three stores. Every body keeps them, and `incumbent.checks` runs them on every body.

Common to all: a method returns only when the fact is as safe as `store.durability` declares; a method that raises
has changed nothing. A full disk is StoreFull, a store that stays locked StoreLocked, bytes that do not match
their hash StoreDamaged, a schema of another release SchemaMismatch. Several processes may use one store at the
same time. Objects are safe to use from several threads. An empty list is fine wherever a list is taken.

What comes out equals what went in, but for one thing: JSON has no NaN and no infinity, so a feature that is one is
kept as null. What no store could give back is refused with DataError: an id with a NUL character, text that is no
valid Unicode, an outcome that is not finite, an integer beyond 64 bits, a feature that is no JSON value.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol

from incumbent.records import (
    Adjudication,
    Arm,
    Event,
    Json,
    Label,
    Micros,
    Outcome,
    Prediction,
    Response,
    Review,
    Shadow,
    Signature,
)
from incumbent.storage.values import checked_id, json_text, json_value, packed, unpacked


class PredictionRow(NamedTuple):
    """One prediction as every store keeps it: the fields of `records.Prediction` in their order, with the features as
    compact JSON text and the output as packed little-endian doubles. What makes it cheap to append: nothing in it has
    to be looked into."""

    id: str
    at: Micros
    features: str
    version: str
    served_by: str
    output: bytes
    unit: str | None
    trial: str | None
    phase: int
    arm: Arm | None
    propensity: float
    fallback_reason: str | None
    latency_us: int


def row_of(prediction: Prediction) -> PredictionRow:
    """The row that keeps a prediction. DataError for an id or for features that no store could give back."""
    return PredictionRow(
        checked_id(prediction.id),
        prediction.at,
        json_text(prediction.features),
        prediction.version,
        prediction.served_by,
        packed(prediction.output),
        prediction.unit,
        prediction.trial,
        prediction.phase,
        prediction.arm,
        prediction.propensity,
        prediction.fallback_reason,
        prediction.latency_us,
    )


def prediction_of(row: PredictionRow) -> Prediction:
    """The prediction that a row keeps: the inverse of `row_of`, but for NaN in features, which came back as null.

    >>> prediction = Prediction("a", 0, {"x": 1.5}, "v1", "v1", (0.25, 0.75))
    >>> prediction_of(row_of(prediction)) == prediction
    True
    """
    id, at, features, version, served_by, output, unit, trial, phase, arm, propensity, reason, latency_us = row
    return Prediction(
        id, at, json_value(features), version, served_by, unpacked(output), unit, trial, phase, arm, propensity, reason,
        latency_us,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class OutcomeCounts:
    """What became of the outcomes that came in: each is in exactly one of the first four.

    accepted: the first of its name for a known prediction. pending: no such prediction yet; kept. repeated: the
    same value again; nothing changed. corrected: another value; the history stays, the latest counts. `late` are those
    of known predictions that came after `live.window_hours` (`loop.outcome` counts them; no log knows the window).
    """

    accepted: int = 0
    pending: int = 0
    repeated: int = 0
    corrected: int = 0
    late: int = 0


@dataclass(frozen=True, slots=True)
class Scored:
    """One version's output for one labelled row that has no loss for its latest label."""

    id: str
    version: str
    output: tuple[float, ...]
    label: Label


@dataclass(frozen=True, slots=True)
class LoggedRow:
    """A prediction with what is known about it: the retraining row."""

    prediction: Prediction
    label: Label | None = None
    known_at: Micros | None = None


@dataclass(frozen=True, slots=True)
class UnitSum:
    """One unit's sums in one arm of a trial's phase. Losses are integers of 1e-9 units.

    `rows` counts its predictions whose label window has closed; `labelled` those of them with a loss; `failed`
    the predictions (matured or not) that a fallback answered; `loss` sums the labelled. A unit whose predictions are
    all younger is there too, with no rows: it was exposed.
    """

    unit: str
    arm: Arm
    rows: int
    labelled: int
    failed: int
    loss: int


@dataclass(frozen=True, slots=True)
class Mark:
    """Until where the log was read: task time, and the last prediction and outcome that had arrived.

    What a look counts follows from its mark alone: a row whose prediction or outcome arrived later does not exist for
    it. So a look can be repeated for ever.
    """

    now: Micros
    predictions: int = 0
    outcomes: int = 0


@dataclass(frozen=True, slots=True)
class SumMeasure:
    """One measure as the log sums it (`config.Measure` says what total and size of a unit are).

    `outcome` "loss" is the row loss of what was served. `cap` bounds one row's total, in 1e-9 units; None: none.
    """

    name: str
    outcome: str = "loss"
    of: Literal["mean", "sum", "count", "ratio"] = "mean"
    over: str = ""
    cap: int | None = None


@dataclass(frozen=True, slots=True)
class SumPlan:
    """What is summed of one phase of a trial. Another plan is another sum: running sums begin anew.

    `window`: how long after a prediction its outcomes count. `unit_window`: how long after its first row of the phase a
    unit's rows count. `budget_us`: a row whose latency is above it is slow; None: none is. `before`: how far back from
    `started_at` a unit's loss is looked up as the covariate; 0: no covariate.
    """

    trial: str
    phase: int
    started_at: Micros
    window: Micros
    unit_window: Micros
    budget_us: int | None = None
    before: Micros = 0
    measures: tuple[SumMeasure, ...] = (SumMeasure("loss"),)


@dataclass(frozen=True, slots=True)
class Moments:
    """Exact sums over the units of an arm for one measure: sizes x (counts; of a ratio 1e-9 units), totals y in 1e-9
    units, covariate z in 1e-9 units (a unit's mean loss before the trial; 0 where there is none, which `known` does not
    count). Units with x = 0 are left out. They add up."""

    n: int = 0
    x: int = 0
    y: int = 0
    xx: int = 0
    yy: int = 0
    xy: int = 0
    z: int = 0
    zz: int = 0
    xz: int = 0
    yz: int = 0
    known: int = 0


@dataclass(frozen=True, slots=True)
class ArmSums:
    """One arm of a phase. Rows of closed units do not count.

    `units` exposed so far, `rows` their answers; `failed` those that a fallback answered, `slow` those over budget,
    and the units that had one. `matured`: rows whose window has closed; `labelled`: those of them with a loss, of
    `labelled_units` units. `late`: labels that came after their window.
    """

    units: int = 0
    rows: int = 0
    failed: int = 0
    units_failed: int = 0
    slow: int = 0
    units_slow: int = 0
    matured: int = 0
    labelled: int = 0
    labelled_units: int = 0
    late: int = 0
    moments: Mapping[str, Moments] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TrialSums:
    """All that a look at a split needs. `both_arms`: units seen in more than one arm (which should not be); `once` and
    `twice`: units with one and with two rows, from which the number that never came is estimated."""

    mark: Mark
    arms: Mapping[Arm, ArmSums]
    both_arms: int = 0
    once: int = 0
    twice: int = 0


@dataclass(frozen=True, slots=True)
class BlockSum:
    """Paired sums of one block of time: rows that both versions scored and that have a label.

    `disagree`: those of them on which the two outputs differ enough to change the loss; `slow`: those whose shadow call
    of the candidate took longer than the budget. `pair_sums` says them; they are 0 where nobody asked.
    """

    block: int
    rows: int
    loss_reference: int
    loss_candidate: int
    disagree: int = 0
    slow: int = 0


@dataclass(frozen=True, slots=True)
class PeriodSum:
    """Served predictions of one period: how many, how many of them have a loss, and its sum."""

    period: int
    rows: int
    labelled: int
    loss: int


@dataclass(frozen=True, slots=True)
class Totals:
    """Counts over the whole log. `outcomes` are those of known predictions and `pending` those that wait for theirs, a
    corrected one once; `shadows` includes the failed; `fallbacks` by reason, `served` by version."""

    predictions: int = 0
    outcomes: int = 0
    pending: int = 0
    shadows: int = 0
    shadow_errors: int = 0
    first_at: Micros | None = None
    last_at: Micros | None = None
    fallbacks: Mapping[str, int] = field(default_factory=dict)
    served: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Gone:
    """How many facts left the log for good."""

    predictions: int = 0
    shadows: int = 0
    outcomes: int = 0
    losses: int = 0
    reviews: int = 0
    responses: int = 0
    adjudications: int = 0

    def __add__(self, other: "Gone") -> "Gone":
        return Gone(
            self.predictions + other.predictions,
            self.shadows + other.shadows,
            self.outcomes + other.outcomes,
            self.losses + other.losses,
            self.reviews + other.reviews,
            self.responses + other.responses,
            self.adjudications + other.adjudications,
        )


class Log(Protocol):
    """Predictions as they were served, and what became known about them later.

    One public id joins a prediction, its shadows, its outcomes, its losses and its review. `known_before` bounds
    by task time: an outcome with `known_at` at or after it does not exist for that call, so nothing looks into the
    future. Of the outcomes of one name that do exist, the one appended last counts. So the same question with the same
    bound has the same answer after a later correction. Ranges of `at` are half open: `since <= at < until`; None
    leaves an end open.
    """

    prompt: bool
    """May `append_rows(rows, 0)` be called on an event loop? True where it takes well under a millisecond (a file on
    this machine), False where it waits for a network."""

    def append(self, predictions: Sequence[Prediction]) -> None:
        """`append_rows` of their rows, and then, where durability is `fsync`, `sync`."""

    def append_rows(self, rows: Sequence[PredictionRow], wait_s: float | None = None) -> None:
        """Commit predictions, all or none: they survive a killed process, and after the next `sync` a power cut.

        An id that is there already, or twice in the call, raises IdReused (ask `find` first). `wait_s` is how long to
        wait for another writer, in this process or another, before StoreLocked; None is `store.lock_timeout_s`, and
        with 0 the call never waits: it raises at once, and may be tried again. Outcomes that were waiting join."""

    def append_new(self, rows: Sequence[PredictionRow], wait_s: float | None = None) -> None:
        """`append_rows` for rows whose ids are new: we have just made them (UUIDv7), so nobody looks whether one is
        there. It is the quickest way in, and the same to whoever reads."""

    def sync(self) -> None:
        """Return when everything that was committed before this call survives a power cut. Calls share the work: one
        that comes while another runs waits for the next, which serves all that came meanwhile. Only where durability
        is `fsync` must anybody call this, and then nothing is acknowledged before it."""

    def tidy(self) -> None:
        """Upkeep beside the traffic: call it about once a second from a thread of each process that appends. It
        changes no fact, never holds a writer up for long, and does nothing where another is at it."""

    def append_shadows(self, shadows: Sequence[Shadow]) -> None:
        """Keep what shadows said. A second output of a version for an id is ignored: the first counts, be it served or
        shadow. So is what was said of an id that is not there: a shadow comes after its prediction."""

    def append_outcomes(self, outcomes: Sequence[Outcome]) -> OutcomeCounts:
        """Keep outcomes. They are idempotent, may come before their prediction (pending: they join it when it
        comes), and may be corrected: the one appended last counts, the history stays. The same value again changes
        nothing, not even `known_at`; 1 and 1.0 are the same value, 1, true and "1" are three."""

    def find(self, ids: Sequence[str]) -> dict[str, Prediction]:
        """The predictions of these ids that are there; unknown ids are left out."""

    def times(self, ids: Sequence[str]) -> dict[str, Micros]:
        """The `at` of each of these predictions that is there: `find` without reading them."""

    def unscored(self, limit: int = 100_000) -> list[Scored]:
        """Outputs (served or shadow) of labelled rows whose loss is missing or older than the latest label.

        For a served row `version` is `served_by`. Shadow errors have no output and are not listed. Cheap when there is
        nothing to do, however long the log is."""

    def put_losses(self, losses: Sequence[tuple[str, str, int]]) -> None:
        """Keep (id, version, loss in 1e-9 units) for the label that `unscored` of this object gave (the latest, where
        it gave none); a later loss for the same label replaces it. A row that was corrected in between stays
        unscored, and one without a label is left out. Losses of earlier labels stay, for earlier bounds."""

    def scan(
        self,
        since: Micros | None = None,
        until: Micros | None = None,
        known_before: Micros | None = None,
        labelled: bool | None = None,
        batch: int = 10_000,
    ) -> Iterator[list[LoggedRow]]:
        """Rows in the order of (at, arrival), in lists of at most `batch`. `labelled` True: only with a label
        known before `known_before`; False: only without; None: all. Rows may be appended meanwhile: each list is
        read when it is asked for, and nothing is locked in between."""

    def unit_sums(
        self, trial: str, phase: int, matured_before: Micros, known_before: Micros, window: Micros
    ) -> list[UnitSum]:
        """Sums by unit and arm of one phase (rows without a unit count as a unit each, by their id).

        A row has matured when `at + window <= matured_before`. A label counts when its `known_at` is before
        `known_before` and before `at + window`; a correction that came after the window is none. The loss is that of
        the *served* answer, in the arm that was assigned (intention to treat)."""

    def block_sums(
        self,
        reference: str,
        candidate: str,
        block: Micros,
        since: Micros,
        until: Micros,
        known_before: Micros,
        offset: Micros = 0,
    ) -> list[BlockSum]:
        """Paired sums of the rows that both versions scored (served or shadow), by `(at + offset) // block`, rounded
        down (before 1970 too); blocks without such rows are left out."""

    # --- a trial. What counts at a mark follows from the mark alone:
    #
    # - Predictions and outcomes exist that arrived up to it. A row is exposed at once.
    # - A row has matured when `at + window <= mark.now`. Of the outcomes of one name with `known_at < at + window` the
    #   one that arrived last counts: a correction that came after the window is none, one inside it counts, however
    #   late it was posted, and so does a first one. Label outcomes (corrections too) of matured rows with
    #   `known_at >= at + window` are `late`.
    # - A row with `at` >= its unit's first `at` in the phase (over all arms) + `unit_window` does not count at all. A
    #   row that arrives late and is its unit's first moves that end, so that rows leave which counted before.
    # - A unit in two arms counts in `both_arms`, and its rows each in the arm that they were assigned to, answered by
    #   whomever (intention to treat). A row without a unit is a unit, by its id; a row without an arm is none.
    # - The loss of a row is that of what was *served*, for the label that counts. An outcome's value is a number times
    #   1e9, rounded half to even, after it was clipped to +-9.2e9, or true as 1; then it is clipped to +-`cap` (so is a
    #   loss). Text is no number. A `count` counts rows whose number is not 0, as 1e9 each, and the x of a `ratio` sums
    #   `over`; neither is capped. `sum` and `count` have x = 1 for a unit with a matured row.
    # - Where no measure of the plan is of the loss, nobody waits for one: `labelled` counts rows with a label, and
    #   there is no covariate.
    # - The covariate is the mean (rounded down, each loss capped as the first measure of the loss is) of the served
    #   losses of the unit's rows outside of the phase with `started_at - before <= at < started_at`, for labels known
    #   before `started_at`: nothing that the trial did is in it.
    #
    # A loss is a function of output and label: it is put once. What `erase` and `drop_before` took counts at no mark
    # any more: an earlier look that counted it cannot be repeated, nor, where what went had arrived last of all, any
    # earlier look (a file gives its numbers anew). Moving features to Parquet changes nothing here.

    def mark(self, now: Micros, versions: Sequence[str] = ()) -> Mark:
        """Where the log ends, at the task time `now`: no row and no outcome that arrives later is within it. Cheap.

        `versions`: stop before the first row or label that waits for a loss of one of these, so that what is summed of
        them at this mark stays what it is."""

    def last_outcome(self) -> int:
        """A number that grows whenever an outcome is kept, a correction too; 0 before the first. Moves nothing and
        waits for nobody: it may be asked every second beside the traffic."""

    def trial_sums(self, plan: SumPlan, now: Micros) -> TrialSums:
        """The sums of a phase at the present, kept as running sums: a call reads what arrived, matured or was corrected
        since the last one, in short transactions. Several processes may call it at the same time, and a call that was
        killed is gone on with. A plan that was not summed before (one differs where any field does), and one of which
        `erase` or `drop_before` took something, begins anew, from all rows of the phase; the running sums of a few
        plans are kept, the older go. Where `now` is before that of the last call, they go back.

        Where a measure is of the loss, the mark stops before the first label (or row) that still waits for its loss:
        what was counted at a mark stays what it was."""

    def trial_sums_at(self, plan: SumPlan, mark: Mark) -> TrialSums:
        """The same at any mark, from all rows of the phase, writing nothing. At a mark of `trial_sums` it is equal to
        what that gave, to the last digit."""

    def pair_sums(
        self,
        reference: str,
        candidate: str,
        block: Micros,
        since: Micros,
        until: Micros,
        at: Mark | Micros,
        offset: Micros = 0,
        budget_us: int | None = None,
    ) -> list[BlockSum]:
        """`block_sums` with `disagree`, and with `slow` where a budget is given; blocks that did not change since the
        last call are not read again.

        `at`: what counts at a mark (of a row, the label that arrived last of those with `known_at < mark.now`), or now.
        A shadow has no place in a mark: one that comes, or is scored, after a look of its rows counts when that look is
        repeated. Ask for a `mark` of both versions, and for rows that are old enough for their shadows to be there."""

    def period_sums(
        self, period: Micros, since: Micros, until: Micros, known_before: Micros, offset: Micros = 0
    ) -> list[PeriodSum]:
        """The loss of what was served, by `(at + offset) // period`, rounded down; empty periods are left out."""

    def size(self, name: str, share: float, since: Micros, known_before: Micros) -> tuple[int, float]:
        """(how many, quantile) of the outcomes of a name that are numbers (true is 1; text is none), of rows with
        at >= since; of `loss` of the losses of what was served, in the metric's units. The quantile is of their sizes
        (without a sign), at `share` (0-1): one of them, the larger where it lies between two; 0 where there are none.
        From this a cap is drawn. No process holds all of them for it."""

    def shadow_failures(self, version: str, since: Micros, until: Micros | None = None) -> tuple[int, int]:
        """(failed, all) shadow calls of a version on rows with since <= at < until."""

    def totals(self) -> Totals:
        """Counts over everything."""

    def append_reviews(self, reviews: Sequence[Review]) -> None:
        """Keep rows drawn for review. An id that was drawn before is ignored."""

    def reviews(self, since: Micros | None = None, open_only: bool = False, limit: int = 1000) -> list[Review]:
        """Drawn rows, the newest first, each with its label when there is one: the one it was drawn with, else the
        latest of its prediction. `open_only`: those whose prediction has no label yet."""

    def append_responses(self, responses: Sequence[Response]) -> None:
        """Keep what people said. Of one person's responses to one copy of an item the one appended last counts; the
        history stays. The same value again changes nothing, so a form that is sent twice does no harm."""

    def responses(self, study: str, history: bool = False) -> list[Response]:
        """The responses of a study that count, in the order in which they came; `history`: all that ever were."""

    def append_adjudications(self, adjudications: Sequence[Adjudication]) -> None:
        """Keep what was decided where responses differ. Of one item's the one appended last counts, whoever it is by;
        the history stays. The same value by the same person again changes nothing."""

    def adjudications(self, study: str, history: bool = False) -> list[Adjudication]:
        """The adjudications of a study that count, in the order in which they came; `history`: all that ever were."""

    # --- what leaves: old features for Parquet, old days and single units for good. Writers are never held up for
    # longer than a few milliseconds by it (but by `scrub`). One call at a time: StoreLocked where another process is at
    # it. Whoever is killed in between loses nothing: the next such call finishes or takes back what was begun. Where
    # DuckDB is not installed MissingExtra.

    def oldest_whole(self, since: Micros | None = None) -> Micros | None:
        """The smallest `at` of the rows whose features are not in Parquet; of those with `since <= at`."""

    def archive_day(self, day: str, since: Micros, until: Micros, signatures: Mapping[str, Signature]) -> int:
        """Move the features of the rows with `since <= at < until` into Parquet files of the folder `day=<day>`; how
        many rows that were. A file has a typed column for each feature, by the signature of the version that served
        (`signatures` by name), and the features' own JSON text. Everything else of a row stays, and every answer of
        this log stays what it was. Where a file cannot be written (StoreFull) its rows stay as they are."""

    def copy_day(self, day: str, since: Micros, until: Micros, signatures: Mapping[str, Signature]) -> int:
        """Write what `archive_day` would move, as it is now, into files that replace the last such copy of the day,
        and move nothing. A copy is deleted when its rows move, and whenever `drop_before` or `erase` take any row."""

    def drop_before(self, before: Micros) -> Gone:
        """Delete for good: rows with `at < before` and all that hangs on them; reviews, responses and adjudications of
        that time; outcomes that were known before it and still wait; and Parquet files that hold nothing younger.
        Totals count what stays."""

    def erase(self, ids: Sequence[str]) -> Gone:
        """Delete these predictions for good, with all that hangs on them, wherever it lies; outcomes, reviews,
        responses and adjudications of unknown ids too. An erased id is a new one again."""

    def scrub(self) -> None:
        """No byte of what was deleted is left in the files of the store. It rewrites them, and holds writers up for as
        long as that takes (rows of our own ids go on into a journal, where there is one)."""

    def close(self) -> None:
        """Give back files and connections. Twice is fine."""


class Ledger(Protocol):
    """An append-only list of events, each holding the hash of the one before.

    The hash is sha256 over the canonical JSON (sorted keys, no spaces, UTF-8) of [previous_hash, sequence, type,
    at, recorded_at, actor, reason, data, measured]; the first previous_hash is 64 zeros. Sequence numbers start
    at 1 and have no gaps. Nothing in the chain tells that its last events were cut off: keep the last hash elsewhere
    when that matters. Data that JSON cannot write (NaN among it) is DataError.
    """

    def append(
        self,
        type: str,
        *,
        at: Micros,
        actor: str,
        reason: str,
        data: Mapping[str, Json] | None = None,
        measured: Mapping[str, Json] | None = None,
        expected: int | None = None,
    ) -> Event:
        """Append one event. With `expected`, only if the last sequence number is that one, else LedgerConflict
        (compare-and-swap: two processes that decide at once cannot both win)."""

    def events(self, after: int = 0, types: Sequence[str] = ()) -> list[Event]:
        """Events with a sequence number above `after`, in order; all types when none is named."""

    def sequence(self) -> int:
        """The last sequence number; 0 when empty. Cheap: every answering process polls it."""

    def verify(self) -> int:
        """Recompute every hash; the number of events, or StoreDamaged naming the first that does not match."""

    def lease(self, name: str, holder: str, seconds: float) -> bool:
        """Take or renew the lease `name` for `seconds` (wall clock of the store); False while another has it. A lease
        that ran out is anybody's."""

    def release(self, name: str, holder: str) -> None:
        """Give the lease back; nothing happens when `holder` does not have it."""

    def close(self) -> None:
        """Give back files and connections. Twice is fine."""


class Blobs(Protocol):
    """Immutable bytes under the sha256 of their content (lower-case hex)."""

    def put(self, content: bytes) -> str:
        """Keep bytes, and return their hash; the same bytes again change nothing, and repair damaged ones. Nothing
        half-written is ever found under a hash. Always as safe as `fsync`: decisions name hashes."""

    def get(self, digest: str) -> bytes:
        """The bytes of a hash, verified; KeyError when there are none, StoreDamaged when they changed."""

    def delete(self, digest: str) -> None:
        """These bytes go for good; nothing happens where there are none. Only for what must be forgotten: whatever
        still names the hash finds nothing there."""

    def has(self, digest: str) -> bool:
        """Is there something under this hash? (Not verified; False for what is no hash.)"""
