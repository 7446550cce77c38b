"""The declared metrics: row losses, values, stored integers, errors."""

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from incumbent.errors import ConfigError, DataError
from incumbent.stats import metrics

TRUTH = np.array([0, 1, 1, 0])
PROBABILITIES = np.array([[0.9, 0.1], [0.6, 0.4], [0.65, 0.35], [0.2, 0.8]])
ALL = [(name, kind) for kind in metrics.KINDS for name in metrics.names(kind)]


def example(kind: str) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.generic]]:
    generator = np.random.default_rng(3)
    if kind in ("regression", "forecast"):
        return generator.normal(size=50), generator.normal(size=50)
    n_classes = 2 if kind == "binary" else 4
    return generator.dirichlet(np.ones(n_classes), size=50), generator.integers(0, n_classes, 50)


@pytest.mark.parametrize(("name", "kind"), ALL)
def test_every_metric_stays_in_its_declared_range_and_agrees_with_its_row_loss(name: str, kind: str) -> None:
    """Losses lie in [low, high]; the value is `of_mean_loss` of their mean."""
    metric = metrics.get(name, kind)
    outputs, truth = example(kind)
    value = metric.value(outputs, truth)
    assert math.isfinite(value)
    if metric.row_loss is None:
        assert metric.low <= value <= metric.high
        return
    losses = metric.row_loss(outputs, truth)
    assert losses.shape == (50,)
    assert np.all((losses >= metric.low) & (losses <= metric.high))
    if metric.of_mean_loss is not None:
        assert value == pytest.approx(metric.of_mean_loss(float(losses.mean())))


@pytest.mark.parametrize(("name", "kind"), ALL)
def test_a_perfect_prediction_reaches_the_perfect_value(name: str, kind: str) -> None:
    """`perfect` is what a prediction that knows the truth gets."""
    metric = metrics.get(name, kind)
    _, truth = example(kind)
    if kind in ("binary", "multiclass"):
        perfect = np.eye(2 if kind == "binary" else 4)[truth.astype(int)]
    else:
        perfect = truth.astype(float)
    assert metric.value(perfect, truth) == metric.perfect


@pytest.mark.parametrize(("name", "kind"), ALL)
def test_gain_is_positive_where_the_candidate_is_better(name: str, kind: str) -> None:
    """The perfect value is a gain over the value of noise, whatever the direction."""
    metric = metrics.get(name, kind)
    assert metric.gain(metric.value(*example(kind)), metric.perfect) > 0


def test_published_definitions_by_hand() -> None:
    """Brier, log loss and accuracy of one small table, worked out by hand."""
    assert metrics.get("brier", "binary").value(PROBABILITIES, TRUTH) == pytest.approx(
        (0.01 + 0.36 + 0.4225 + 0.64) / 4
    )
    assert metrics.get("log_loss", "binary").value(PROBABILITIES, TRUTH) == pytest.approx(
        -(math.log(0.9) + math.log(0.4) + math.log(0.35) + math.log(0.2)) / 4
    )
    assert metrics.get("accuracy", "binary").value(PROBABILITIES, TRUTH) == 0.25
    assert metrics.get("f1", "binary").value(PROBABILITIES, TRUTH) == 0.0
    assert metrics.get("rmse", "regression").value([1.0, 3.0], [1.0, 1.0]) == pytest.approx(math.sqrt(2.0))


def test_multiclass_brier_sums_over_the_classes() -> None:
    """A confident mistake costs 2, the most there is."""
    loss = metrics.brier_multiclass([[1.0, 0.0, 0.0]], [1])
    assert loss.tolist() == [2.0]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=30))
def test_roc_auc_is_the_share_of_ordered_pairs(rows: list[tuple[int, bool]]) -> None:
    """Equal to counting all pairs of a positive and a negative row, ties as half."""
    scores, labels = np.array([score / 5 for score, _ in rows]), np.array([int(label) for _, label in rows])
    outputs = np.column_stack([1 - scores, scores])
    if labels.min() == labels.max():
        with pytest.raises(DataError, match="both classes"):
            metrics.roc_auc(outputs, labels)
        return
    gaps = scores[labels == 1][:, None] - scores[labels == 0][None, :]
    assert metrics.roc_auc(outputs, labels) == pytest.approx(np.mean((gaps > 0) + 0.5 * (gaps == 0)))


def test_average_precision_ignores_the_order_of_ties() -> None:
    """All rows with one score: the precision of guessing."""
    assert metrics.average_precision([[0.5, 0.5]] * 4, [1, 0, 0, 0]) == 0.25
    assert metrics.average_precision([[0.5, 0.5]] * 4, [0, 0, 0, 1]) == 0.25


def test_quantile_loss_is_named_by_its_level() -> None:
    """Predicting too low costs nine times more than too high at the 90 % quantile."""
    metric = metrics.get("quantile_loss_0.9", "forecast")
    assert metric.row_loss is not None
    assert metric.row_loss([0.0, 2.0], [1.0, 1.0]).tolist() == pytest.approx([0.9, 0.1])


@pytest.mark.parametrize(
    ("name", "kind", "says"),
    [
        ("acuracy", "binary", 'did you mean "accuracy"'),
        ("mae", "regression", 'did you mean "absolute_error"'),
        ("roc_auc", "multiclass", "roc_auc is for binary"),
        ("pinball", "forecast", "quantile_loss_0.5"),
        ("xyzzy", "binary", "These suit the kind: accuracy"),
        ("quantile_loss_1.5", "regression", "quantile_loss_<level>"),
        ("brier", "clustering", "unknown kind"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(name: str, kind: str, says: str) -> None:
    """The error names the nearest spelling and the metrics that suit the kind."""
    with pytest.raises(ConfigError, match=says):
        metrics.get(name, kind)


@pytest.mark.parametrize(
    ("outputs", "truth", "says"),
    [
        ([[0.5, 0.5]], [2], "class index"),
        ([[0.5, 0.5]], [-1], "class index"),
        ([[0.5, 0.5]], [0.5], "class index"),
        ([[0.5, 0.5]], [math.nan], "class index"),
        ([[math.nan, 0.5]], [0], "between 0 and 1"),
        ([[1.2, -0.2]], [0], "row 0"),
        ([0.5], [0], "shape"),
        ([[0.5, 0.5]], [0, 1], "truth has shape"),
        ([[0.2, 0.3, 0.5]], [0], "n_rows, 2"),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value encountered in cast")
def test_bad_probabilities_and_labels_are_refused(outputs: object, truth: object, says: str) -> None:
    """Each names what was found and what was expected."""
    with pytest.raises(DataError, match=says):
        metrics.brier_binary(outputs, truth)  # type: ignore[arg-type]


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_bad_numbers_are_refused(bad: float) -> None:
    """A NaN prediction or truth never becomes a loss."""
    with pytest.raises(DataError, match="prediction must be a finite"):
        metrics.squared_error([bad], [1.0])
    with pytest.raises(DataError, match="truth must be a finite"):
        metrics.absolute_error([1.0], [bad])


def test_probabilities_of_a_float32_runtime_are_accepted() -> None:
    """1.0000001 is 1, and the loss stays in its range."""
    assert metrics.brier_binary([[-1e-7, 1.0000001]], [1]).tolist() == [0.0]


def test_units_round_half_to_even_and_come_back() -> None:
    """Half of 1e-9 goes to the even neighbour."""
    assert metrics.to_units([0.5e-9, 1.5e-9, 2.5e-9]).tolist() == [0, 2, 2]
    assert metrics.from_units([2**62, 3 * 2**63]).shape == (2,)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_stored_losses_are_within_half_a_unit(losses: list[float]) -> None:
    """Storing costs at most 5e-10 a row, whatever the loss."""
    stored = metrics.from_units(metrics.to_units(losses, metrics.get("brier", "binary")))
    assert np.all(np.abs(stored - losses) <= 0.5001e-9)


@pytest.mark.parametrize(
    ("loss", "says"),
    [(math.nan, "finite"), (math.inf, "finite"), (1.5, "0 to 1"), (-0.1, "0 to 1"), (1e10, "rescale")],
)
def test_units_refuse_what_is_not_a_loss(loss: float, says: str) -> None:
    """Not finite, too large for 64 bits, or out of the metric's range."""
    with pytest.raises(DataError, match=says):
        metrics.to_units([0.5, loss], metrics.get("brier", "binary"))


def test_r2_by_hand_and_its_ends() -> None:
    """The mean scores 0, worse is negative, a truth that never changes has none; the squared error decides the test."""
    metric = metrics.get("r2", "forecast")
    assert metric.value([2.0, 2.0, 2.0], [1.0, 2.0, 3.0]) == 0.0
    assert metric.value([3.0, 2.0, 1.0], [1.0, 2.0, 3.0]) == -3.0
    assert (metric.lower_is_better, metric.perfect, metric.row_loss) == (False, 1.0, metrics.squared_error)
    with pytest.raises(DataError, match="truth that varies"):
        metric.value([1.0, 2.0], [5.0, 5.0])


def test_the_names_that_people_use_are_known() -> None:
    """Each leads to a metric of ours."""
    for word, name in metrics._OTHER_WORDS.items():
        assert metrics.plain_name(word.upper()) == name
        assert any((name, kind) in ALL or name.startswith("quantile_loss") for kind in metrics.KINDS)
    assert metrics.plain_name("brier") == "brier"
