"""An order of names that can be changed at any place, about as fast in a long one as in a short one."""

from collections.abc import Iterator, Sequence

_BLOCK = 512


class Order:
    """Names in an order, in blocks: what searches or moves things does so within one block.

    Args:
        names: each once.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._blocks = [list(names[start : start + _BLOCK]) for start in range(0, len(names), _BLOCK)] or [[]]
        self._block_of = {name: block for block in self._blocks for name in block}

    def __len__(self) -> int:
        return len(self._block_of)

    def __iter__(self) -> Iterator[str]:
        return (name for block in self._blocks for name in block)

    def remove(self, name: str) -> None:
        """Take a name out."""
        self._block_of.pop(name).remove(name)

    def insert(self, index: int, name: str) -> None:
        """Put a new name at an index from 0 to the length, those from there on after it."""
        number = 0
        while index > len(self._blocks[number]):
            index -= len(self._blocks[number])
            number += 1
        block = self._blocks[number]
        block.insert(index, name)
        self._block_of[name] = block
        if len(block) > 2 * _BLOCK:
            rest = block[_BLOCK:]
            del block[_BLOCK:]
            self._blocks.insert(number + 1, rest)
            self._block_of.update(dict.fromkeys(rest, rest))
