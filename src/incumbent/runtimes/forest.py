"""Are the trees of a LightGBM text whole? LightGBM itself believes what it reads.

In: the text of a model. Out: nothing, or ArtefactRefused with the tree and what is wrong in it. Every child must be a
node or leaf of its tree, reached once from its root; every split a feature of the model; every list as long as the tree
says. A child that is not there is followed into whatever memory holds, perhaps only by a row that no test has: so this
is asked of every text from outside, and not once it is stored.
"""

from collections.abc import Mapping

from incumbent.errors import ArtefactRefused

_NODES = ("split_feature", "threshold", "decision_type", "left_child", "right_child")
_CATEGORICAL = 1


def check_text(text: str) -> None:
    """Raise ArtefactRefused unless the trees of a LightGBM text are whole."""
    head, *trees = text.split("\nTree=")
    try:
        known = _fields(head)
        features = int(known["max_feature_idx"]) + 1
        per_round = int(known["num_tree_per_iteration"])
        if int(known["num_class"]) < 1 or per_round < 1 or features < 1 or len(trees) % per_round:
            raise ValueError(f"{len(trees)} trees, {per_round} a round")
    except (KeyError, ValueError) as error:
        raise ArtefactRefused(f"the head of the LightGBM model is damaged: {_said(error)}") from None
    if not trees:
        raise ArtefactRefused("found no tree, expected the text of a LightGBM model")
    _check_sizes(known.get("tree_sizes", "").split(), trees)
    for number, tree in enumerate(trees):
        try:
            _check_tree(_fields(tree), features)
        except (IndexError, KeyError, OverflowError, ValueError) as error:
            raise ArtefactRefused(f"tree {number} of the LightGBM model is damaged: {_said(error)}") from None


def _check_sizes(sizes: list[str], trees: list[str]) -> None:
    """LightGBM cuts the text by the sizes at its head: they must cut it where the trees are."""
    found = [len(f"Tree={tree}\n".encode()) for tree in trees[:-1]]
    last = len(f"Tree={trees[-1].partition('end of trees')[0]}".encode())
    if sizes and sizes != [str(size) for size in [*found, last]]:
        raise ArtefactRefused("the sizes of the trees at the head of the LightGBM model are not theirs: it is damaged")


def _fields(block: str) -> dict[str, str]:
    """The lines `key=value`; a key that comes twice is a ValueError."""
    lines = [line.partition("=") for line in block.partition("end of trees")[0].splitlines() if "=" in line]
    found = {key: value for key, _, value in lines}
    if len(found) != len(lines):
        raise ValueError("a line twice")
    return found


def _said(error: Exception) -> str:
    return f"it has no line {error}" if isinstance(error, KeyError) else str(error)


def _check_tree(tree: Mapping[str, str], features: int) -> None:
    leaves, categorical = int(tree["num_leaves"]), int(tree["num_cat"])
    _numbers(tree, "leaf_value", leaves)
    if int(tree.get("is_linear", "0")):
        _check_linear(tree, leaves, features)
    if leaves == 1:
        return
    if leaves < 1:
        raise ValueError(f"{leaves} leaves")
    nodes = {name: _numbers(tree, name, leaves - 1) for name in _NODES}
    if not all(0 <= feature < features for feature in nodes["split_feature"]):
        raise ValueError(f"a split on a feature beyond {features}")
    _check_reached(nodes["left_child"], nodes["right_child"], leaves)
    if categorical:
        _check_categories(tree, nodes, categorical)
    elif any(int(kind) & _CATEGORICAL for kind in nodes["decision_type"]):
        raise ValueError("a split on categories, and none are listed")


def _check_reached(left: list[float], right: list[float], leaves: int) -> None:
    """From the root each node and each leaf (-1, -2, …) exactly once."""
    reached, waiting = {0}, [0]
    while waiting:
        node = waiting.pop()
        for child in (int(left[node]), int(right[node])):
            if child in reached or not -leaves <= child < leaves - 1:
                raise ValueError(f"node {node} has the child {child}")
            reached.add(child)
            if child >= 0:
                waiting.append(child)
    if len(reached) != 2 * leaves - 1:
        raise ValueError(f"{2 * leaves - 1 - len(reached)} nodes or leaves are never reached")


def _check_categories(tree: Mapping[str, str], nodes: Mapping[str, list[float]], count: int) -> None:
    """A split on categories names by its threshold a stretch of bits between two boundaries."""
    bounds = _numbers(tree, "cat_boundaries", count + 1)
    words = len(tree["cat_threshold"].split())
    if bounds[0] != 0 or bounds != sorted(bounds) or bounds[-1] > words:
        raise ValueError("boundaries of categories that do not fit")
    for kind, threshold in zip(nodes["decision_type"], nodes["threshold"], strict=True):
        if int(kind) & _CATEGORICAL and not 0 <= threshold < count:
            raise ValueError(f"a split on the categories {threshold:g} of {count}")


def _check_linear(tree: Mapping[str, str], leaves: int, features: int) -> None:
    counts = _numbers(tree, "num_features", leaves)
    _numbers(tree, "leaf_const", leaves)
    total = int(sum(counts))
    if min(counts) < 0 or not all(0 <= f < features for f in _numbers(tree, "leaf_features", total)):
        raise ValueError(f"a leaf on a feature beyond {features}")
    _numbers(tree, "leaf_coeff", total)


def _numbers(tree: Mapping[str, str], name: str, length: int) -> list[float]:
    found = [float(value) for value in tree[name].split()] if length else []
    if len(found) != length:
        raise ValueError(f"{len(found)} values of {name}, expected {length}")
    return found
