"""A memory of things worked out, bounded by the bytes that they take."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, Protocol, TypeVar


class Sized(Protocol):
    """What says how much memory it takes."""

    @property
    def nbytes(self) -> int:
        """Bytes."""
        ...


K = TypeVar("K", bound=Hashable)
V = TypeVar("V", bound=Sized)


class BoundedCache(Generic[K, V]):
    """Keeps values by key; the least recently asked for give way.

    Args:
        budget_bytes: most memory for all values; one that takes more on its own is still kept, alone.
        overhead_bytes: what each takes besides its own `nbytes`.
    """

    def __init__(self, budget_bytes: int, overhead_bytes: int = 1024):
        self.budget_bytes = budget_bytes
        self.overhead_bytes = overhead_bytes
        self.used_bytes = 0
        self._known: OrderedDict[K, V] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def get(self, key: K, build: Callable[[], V]) -> V:
        """The value of a key; built where it is not known. What `build` raises changes nothing."""
        known = self.find(key)
        if known is None:
            known = build()
            self.put(key, known)
        return known

    def find(self, key: K) -> V | None:
        """The value of a key, None where it is not known."""
        if key in self._known:
            self._known.move_to_end(key)
        return self._known.get(key)

    def put(self, key: K, value: V) -> None:
        """Keep the value of a key that is not known."""
        self._known[key] = value
        self.used_bytes += value.nbytes + self.overhead_bytes
        while self.used_bytes > self.budget_bytes and len(self._known) > 1:
            gone = self._known.popitem(last=False)[1]
            self.used_bytes -= gone.nbytes + self.overhead_bytes
