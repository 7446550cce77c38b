"""Whole trees pass, and what LightGBM would follow into nowhere is refused before it reads it."""

import random
import re
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import pytest

from incumbent.config import Versions
from incumbent.errors import ArtefactRefused
from incumbent.records import Column, Signature
from incumbent.runtimes.base import Opening
from incumbent.runtimes.forest import check_text
from incumbent.runtimes.lightgbm import pack


def rows() -> tuple[pd.DataFrame, Any]:
    draw = np.random.default_rng(0)
    found = pd.DataFrame({
        "a": draw.normal(size=600), "b": draw.normal(size=600), "c": pd.Categorical(draw.choice(list("uvwxyz"), 600)),
    })  # fmt: skip
    return found, (found["a"] + 2 * found["c"].isin(["u", "x"]) > 0.5).astype(int)


def text(**settings: Any) -> str:
    x, y = rows()
    x = x[["a", "b"]] if settings.get("linear_tree") else x
    y = y + (x["b"] > 0) if "num_class" in settings else y
    known = {"verbose": -1, "num_threads": 1, "min_data_per_group": 5, "cat_smooth": 1, **settings}
    linear = {"verbose": -1, "linear_tree": settings.get("linear_tree", False)}
    return str(lightgbm.train(known, lightgbm.Dataset(x, y, params=linear), 4).model_to_string())


@pytest.mark.parametrize(
    "settings",
    [
        {"objective": "binary"},
        {"objective": "multiclass", "num_class": 3},
        {"objective": "regression", "linear_tree": True},
        {"objective": "regression", "min_data_in_leaf": 10_000},
        {"objective": "binary", "num_leaves": 2},
        {"objective": "binary", "boosting": "dart"},
        {"objective": "binary", "boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.5},
    ],
    ids=lambda s: " ".join(map(str, s.values())),
)
def test_what_lightgbm_writes_is_whole(settings: dict[str, Any]) -> None:
    """Categories, linear leaves, a tree that is one leaf."""
    check_text(text(**settings))


def resized(model: str) -> str:
    """With sizes of the trees that fit them, as somebody would who means it."""
    _, *trees = model.split("\nTree=")
    sizes = [len(f"Tree={tree}\n") for tree in trees[:-1]] + [len(f"Tree={trees[-1].partition('end of trees')[0]}")]
    return re.sub(r"tree_sizes=.*", f"tree_sizes={' '.join(map(str, sizes))}", model)


@pytest.mark.parametrize(
    ("pattern", "put", "sentence"),
    [
        (r"left_child=\S+", "left_child=999", r"tree 0 .* node 0 has the child 999"),
        (r"left_child=\S+", "left_child=0", r"tree 0 .* node 0 has the child 0"),
        (r"right_child=\S+", "right_child=-99", r"tree 0 .* node 0 has the child -99"),
        (r"left_child=\S+ ", "left_child=", r"tree 0 .* values of left_child, expected"),
        (r"split_feature=\S+", "split_feature=7", r"tree 0 .* a split on a feature beyond 3"),
        (r"split_feature=\S+", "split_feature=-1", r"tree 0 .* a split on a feature beyond 3"),
        (r"num_leaves=\d+", "num_leaves=1000000", r"tree 0 .* expected 1000000"),
        (r"num_leaves=\d+", "num_leaves=0", r"tree 0 "),
        (r"leaf_value=\S+ ", "leaf_value=", r"tree 0 .* values of leaf_value"),
        (r"cat_boundaries=0 \d+", "cat_boundaries=0 999", r"boundaries of categories that do not fit"),
        (r"num_cat=1", "num_cat=0", r"a split on categories, and none are listed"),
        (r"threshold=\S+", "threshold=x", r"tree 0 .* could not convert string to float"),
        (r"num_leaves=", "num_leaves=2\nnum_leaves=", r"tree 0 .* a line twice"),
        (r"max_feature_idx=\d+", "max_feature_idx=x", r"the head of the LightGBM model is damaged"),
        (r"num_tree_per_iteration=1", "num_tree_per_iteration=3", r"the head .* 4 trees, 3 a round"),
    ],
)
def test_damaged_trees_are_refused(pattern: str, put: str, sentence: str) -> None:
    """The tree and what is wrong in it are named, whatever the sizes at the head say."""
    damaged = resized(re.sub(pattern, put, text(objective="binary"), count=1))
    with pytest.raises(ArtefactRefused, match=sentence):
        check_text(damaged)
    signature = Signature((Column("a", "number"), Column("b", "number"), Column("c", "string")), "binary", (0, 1))
    for model in (damaged, damaged.encode()):
        with pytest.raises(ArtefactRefused, match=sentence):
            pack(model, Opening(signature, Versions()))


def test_linear_leaves_are_looked_at() -> None:
    """Their features too."""
    damaged = resized(re.sub(r"leaf_features=\S+", "leaf_features=77", text(objective="regression", linear_tree=True)))
    with pytest.raises(ArtefactRefused, match="a leaf on a feature beyond 2"):
        check_text(damaged)


def test_sizes_that_cut_the_text_elsewhere_are_refused() -> None:
    """LightGBM goes by them: it would read other trees than were looked at."""
    whole = text(objective="binary")
    check_text(resized(whole))
    with pytest.raises(ArtefactRefused, match=r"the sizes of the trees .* are not theirs"):
        check_text(re.sub(r"tree_sizes=\d+", "tree_sizes=10", whole))


def test_text_that_is_no_model_is_refused() -> None:
    """Nothing, no head, no tree, no text."""
    for found in ("", "tree", text(objective="binary").partition("\nTree=")[0]):
        with pytest.raises(ArtefactRefused, match=r"head of the LightGBM model is damaged|found no tree"):
            check_text(found)
    with pytest.raises(ArtefactRefused, match="found bytes that are no text"):
        pack(b"tree\n\xff", Opening(Signature((), "regression"), Versions()))


def test_random_damage_raises_nothing_else() -> None:
    """300 damaged texts: each is refused by our own error, or is still whole."""
    whole, draw, refused = text(objective="binary"), random.Random(0), 0
    for _ in range(300):
        characters = list(whole)
        for _ in range(draw.choice([1, 3, 30])):
            place = draw.randrange(len(characters))
            if draw.random() < 0.5:
                characters[place] = draw.choice("0123456789-. \nab=")
            else:
                del characters[place : place + draw.choice([1, 5, 50])]
        try:
            check_text("".join(characters))
        except ArtefactRefused:
            refused += 1
    assert refused > 150
