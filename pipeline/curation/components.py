"""What belongs together, and what that ties together: connected components over any keys."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import Generic, TypeVar

__all__ = ["Components", "tied"]

T = TypeVar("T", bound=Hashable)


class Components(Generic[T]):
    """Union-find with path halving; which element stands for a component is of no consequence to anybody."""

    def __init__(self) -> None:
        self._above: dict[T, T] = {}

    def find(self, item: T) -> T:
        above = self._above
        above.setdefault(item, item)
        while above[item] != item:
            above[item] = above[above[item]]
            item = above[item]
        return item

    def join(self, a: T, b: T) -> None:
        self._above[self.find(a)] = self.find(b)


def tied(keys: Mapping[str, Iterable[str]]) -> list[tuple[list[str], list[str]]]:
    """item -> keys gives (items, keys) of each component, both sorted, by the first item: the same in any order.

    An item without a key is a component of its own.
    """
    joined = Components[tuple[bool, str]]()
    for item, mine in keys.items():
        for key in mine:
            joined.join((True, item), (False, key))
    found: dict[tuple[bool, str], tuple[list[str], set[str]]] = {}
    for item in sorted(keys):
        items, every = found.setdefault(joined.find((True, item)), ([], set()))
        items.append(item)
        every.update(keys[item])
    return [(items, sorted(every)) for items, every in found.values()]
