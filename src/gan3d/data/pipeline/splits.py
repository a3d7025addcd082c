"""Assign shapes to splits by their content alone."""

import hashlib
from collections.abc import Hashable, Mapping, Sequence

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from gan3d.dataset import SPLITS


def components(*keys: Sequence[Hashable]) -> np.ndarray:
    """Connected components of N items, where items with an equal value under the same key are connected.

    Args:
        keys: for each key, its value for each item, (N,).

    Returns:
        The component of each item, integers (N,).
    """
    count, edges, nodes = len(keys[0]), [np.empty((2, 0), int)], len(keys[0])
    for values in keys:
        number = {value: index for index, value in enumerate(dict.fromkeys(values))}
        ends = np.fromiter((number[value] for value in values), int, count)
        edges.append(np.stack([np.arange(count), nodes + ends]))
        nodes += len(number)
    one, other = np.concatenate(edges, 1)
    graph = coo_array((np.ones(len(one), bool), (one, other)), (nodes, nodes))
    return connected_components(graph, directed=False)[1][:count]


def merge(groups: Sequence[str], hashes: Sequence[str]) -> list[str]:
    """Merge groups that share a grid.

    Args:
        groups: name of the group of each shape, (N,).
        hashes: of the grid of each shape, (N,).

    Returns:
        Name of the merged group of each shape, the alphabetically first of its groups, (N,).
    """
    labels = components(groups, hashes).tolist()
    first: dict[int, str] = {}
    for label, group in zip(labels, groups, strict=True):
        first[label] = min(first.get(label, group), group)
    return [first[label] for label in labels]


def draw(hashes: Sequence[str], seed: int) -> float:
    """A number in [0, 1) from the seed and the contents of a group's shapes, independent of their order."""
    digest = hashlib.sha256("\n".join([str(seed), *sorted(set(hashes))]).encode()).digest()
    return int.from_bytes(digest[:7], "big") / 2**56


def assign(
    groups: Mapping[str, Sequence[str]],
    stated: Mapping[str, str | None],
    shares: Mapping[str, float],
    seed: int = 0,
) -> dict[str, str]:
    """Choose the split of each group of one class.

    A stated split wins. Splits that the source does not state are drawn from the pool of groups that are stated as
    train or not at all, by their content: names, order and other files do not matter. If a drawn split would be empty
    although the pool has enough groups, one group is moved into it.

    Args:
        groups: hashes of the shapes of each group, by its name.
        stated: split of each group in the source, or None, by its name.
        shares: of the pool for `validation` and `test`, for those that are not stated.
        seed: of the draw.

    Returns:
        The split of each group, by its name.
    """
    given = {split for split in stated.values() if split}
    chosen = {name: split for name, split in stated.items() if split in ("validation", "test")}
    pool = sorted((draw(groups[name], seed), name) for name in groups if name not in chosen)
    wanted = [split for split in ("test", "validation") if split not in given and shares.get(split, 0) > 0]
    start = 0.0
    for split in wanted:
        for number, name in pool:
            if start <= number < start + shares[split]:
                chosen[name] = split
        start += shares[split]
    chosen = {**{name: "train" for _, name in pool}, **chosen}
    _fill_empty(chosen, [name for _, name in pool], wanted)
    return chosen


def _fill_empty(chosen: dict[str, str], pool: list[str], wanted: list[str]) -> None:
    """Move one group into each empty split among train and the drawn ones, if the pool is large enough."""
    splits = [split for split in SPLITS if split in wanted or split == "train"]
    if len(pool) < len(splits):
        return
    for split in splits:
        counts = {other: sum(chosen[name] == other for name in pool) for other in splits}
        if not counts[split]:
            largest = max(splits, key=lambda other: counts[other])
            chosen[next(name for name in pool if chosen[name] == largest)] = split
