import random
from collections import Counter
from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from gan3d.data.pipeline.splits import assign, components, draw, merge

SHARES = {"validation": 0.1, "test": 0.2}


def shapes(count: int) -> dict[str, list[str]]:
    return {f"shape{i}": [f"{i:032x}"] for i in range(count)}


def unstated(groups: dict[str, list[str]]) -> dict[str, str | None]:
    return dict.fromkeys(groups)


def test_shares_are_met():
    groups = shapes(4000)
    counts = Counter(assign(groups, unstated(groups), SHARES).values())
    assert abs(counts["validation"] / 4000 - 0.1) < 0.02
    assert abs(counts["test"] / 4000 - 0.2) < 0.02


@settings(max_examples=50, deadline=None)
@given(count=st.integers(1, 40), seed=st.integers(0, 9))
def test_names_and_order_do_not_matter(count, seed):
    groups = shapes(count)
    split = assign(groups, unstated(groups), SHARES, seed)
    names = list(groups)
    random.Random(seed).shuffle(names)
    renamed = {f"new{name}": groups[name] for name in names}
    again = assign(renamed, unstated(renamed), SHARES, seed)
    assert {name: again[f"new{name}"] for name in groups} == split


@given(count=st.integers(3, 12), seed=st.integers(0, 50))
def test_three_shapes_fill_three_splits(count, seed):
    groups = shapes(count)
    split = assign(groups, unstated(groups), SHARES, seed)
    assert set(split.values()) == {"train", "validation", "test"}


def test_fewer_shapes_than_splits_keep_their_draw():
    groups = shapes(2)
    assert set(assign(groups, unstated(groups), SHARES)) == set(groups)


@settings(max_examples=50, deadline=None)
@given(count=st.integers(10, 80), seed=st.integers(0, 9))
def test_stated_splits_win_and_only_missing_ones_are_drawn(count, seed):
    groups = shapes(count)
    stated = {name: "test" if i < 3 else "train" for i, name in enumerate(groups)}
    split = assign(groups, stated, SHARES, seed)
    assert {name for name, value in split.items() if value == "test"} == {"shape0", "shape1", "shape2"}
    assert "validation" in split.values()
    everything = dict.fromkeys(groups, "train") | {"shape0": "test", "shape1": "validation"}
    assert assign(groups, everything, SHARES, seed) == everything


def test_a_share_of_zero_draws_nothing():
    groups = shapes(50)
    assert set(assign(groups, unstated(groups), {"validation": 0.0, "test": 0.0}).values()) == {"train"}


def test_more_shapes_do_not_move_the_others():
    few, many = shapes(500), shapes(1000)
    before, after = assign(few, unstated(few), SHARES), assign(many, unstated(many), SHARES)
    assert all(after[name] == split for name, split in before.items())


def test_draw_depends_only_on_contents_and_seed():
    assert draw(["a", "b"], 0) == draw(["b", "a", "a"], 0)
    assert len({draw(["a"], 0), draw(["a"], 1), draw(["b"], 0)}) == 3


def test_groups_that_share_a_grid_are_merged():
    joined = merge(["a", "a", "b", "c", "d", "d", "e"], ["1", "2", "2", "3", "3", "4", "5"])
    assert joined == ["a", "a", "a", "c", "c", "c", "e"]
    chain = merge(["z", "y", "y", "x"], ["1", "1", "2", "2"])
    assert len(set(chain)) == 1


@settings(max_examples=100, deadline=None)
@given(pairs=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 15)), max_size=25))
def test_groups_connected_through_others_are_merged(pairs):
    names = [f"g{group}" for group, _ in pairs]
    hashes = [f"h{digest}" for _, digest in pairs]
    families = [{i} for i in range(len(pairs))]
    for i, j in combinations(range(len(pairs)), 2):  # all pairs
        if (names[i] == names[j] or hashes[i] == hashes[j]) and families[i] is not families[j]:
            families[i] |= families[j]
            for k in families[i]:
                families[k] = families[i]
    assert merge(names, hashes) == [min(names[k] for k in family) for family in families]
    labels = components(names, hashes)
    assert all((labels[i] == labels[j]) == (families[i] is families[j]) for i, j in combinations(range(len(pairs)), 2))


def test_a_chain_of_shared_grids_is_one_group():
    names, hashes = ["c", "d", "b", "c", "a", "b", "a"], ["1", "1", "2", "2", "3", "3", "4"]
    assert set(merge(names, hashes)) == {"a"}
