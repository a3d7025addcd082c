"""Which shape goes into which split, by content alone."""

import hashlib
from collections.abc import Mapping, Sequence

from gan3d.dataset import SPLITS


def merge(groups: Sequence[str], hashes: Sequence[str]) -> list[str]:
    """Join groups that share a grid: names of groups (N,) and hashes of grids (N,) -> one name a joined group."""
    parent = {group: group for group in groups}

    def root(group: str) -> str:
        while parent[group] != group:
            group = parent[group] = parent[parent[group]]
        return group

    first: dict[str, str] = {}
    for group, digest in zip(groups, hashes, strict=True):
        one, other = sorted((root(group), root(first.setdefault(digest, group))))
        parent[other] = one
    return [root(group) for group in groups]


def draw(hashes: Sequence[str], seed: int) -> float:
    """A number in [0, 1) that depends on the contents of a group's shapes, not on their order, and on the seed."""
    digest = hashlib.sha256("\n".join([str(seed), *sorted(set(hashes))]).encode()).digest()
    return int.from_bytes(digest[:7], "big") / 2**56


def assign(
    groups: Mapping[str, Sequence[str]],
    stated: Mapping[str, str | None],
    shares: Mapping[str, float],
    seed: int = 0,
) -> dict[str, str]:
    """Choose the split of each group of one class.

    A stated split wins. Splits that the source does not state are drawn from the rest (what it calls train, or what
    it says nothing about) by the groups' content: names, order and other files do not matter. Only where a drawn
    split would stay empty though there are groups enough, the groups nearest to it are moved in, so that ten shapes
    are enough for all three.

    Args:
        groups: name of each group -> hashes of its shapes.
        stated: name of each group -> its split in the source, or None.
        shares: `validation` and `test` -> the share of the pool that a split gets when it is not stated.
        seed: another seed draws other splits.
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
    """Give every drawn split, and train, at least one group of the pool where it is large enough."""
    splits = [split for split in SPLITS if split in wanted or split == "train"]
    if len(pool) < len(splits):
        return
    for split in splits:
        counts = {other: sum(chosen[name] == other for name in pool) for other in splits}
        if not counts[split]:
            richest = max(splits, key=lambda other: counts[other])
            chosen[next(name for name in pool if chosen[name] == richest)] = split
