"""The undo history of a shot's edits: numbered states, and a position among them. State 0 is empty."""

import sqlite3
import zlib
from collections.abc import Iterable, Iterator

MAX_STATES = 500
MAX_BYTES = 64 << 20
"""Most states, and bytes as they are kept, of a shot; the oldest go first."""
PLAIN_BYTES = 1 << 20
"""The largest state that may wait to be compressed: a few larger ones would leave no room for others."""
# The first byte of what zlib makes, and of no JSON.
_COMPRESSED = b"x"


def current(db: sqlite3.Connection, shot: str) -> bytes:
    """The state at the position, as it was pushed; b"" for state 0."""
    row = db.execute(
        "SELECT edits.stack FROM shots "
        "JOIN edits ON edits.shot = shots.name AND edits.position = shots.position WHERE shots.name = ?",
        (shot,),
    ).fetchone()
    return b"" if row is None else _state(row[0])


def push(db: sqlite3.Connection, shot: str, stack: bytes) -> list[bytes]:
    """Add a state after the position, drop all that came after, and the oldest beyond the limits.

    It is mostly kept as it is: to compress it takes longer than all else that an artist waits for here. See
    `compress`.

    Returns:
        The dropped states, as they are kept.
    """
    position = _position(db, shot) + 1
    dropped_to = position - MAX_STATES
    kept = stack if len(stack) <= PLAIN_BYTES else zlib.compress(stack, 1)
    size = len(kept)
    sizes = db.execute(
        "SELECT position, length(stack) FROM edits WHERE shot = ? AND position BETWEEN ? AND ? "
        "ORDER BY position DESC",
        (shot, dropped_to + 1, position - 1),
    )
    for number, length in sizes.fetchall():
        size += length
        if size > MAX_BYTES:
            dropped_to = number
            break
    where = "FROM edits WHERE shot = ? AND (position >= ? OR position <= ?)"
    dropped = [row[0] for row in db.execute(f"SELECT stack {where}", (shot, position, dropped_to))]
    db.execute(f"DELETE {where}", (shot, position, dropped_to))
    db.execute("INSERT INTO edits VALUES (?, ?, ?)", (shot, position, kept))
    db.execute("UPDATE shots SET position = ? WHERE name = ?", (position, shot))
    return dropped


def compress(db: sqlite3.Connection, shot: str) -> bool:
    """Compress the newest state of a shot that is not, but for the current one; False where there is none."""
    row = db.execute(
        "SELECT edits.position, stack FROM edits JOIN shots ON shots.name = edits.shot "
        "WHERE shot = ? AND edits.position != shots.position AND substr(stack, 1, 1) != ? "
        "ORDER BY edits.position DESC LIMIT 1",
        (shot, _COMPRESSED),
    ).fetchone()
    if row is None:
        return False
    db.execute(
        "UPDATE edits SET stack = ? WHERE shot = ? AND position = ?", (zlib.compress(row[1], 1), shot, row[0])
    )
    return True


def states(db: sqlite3.Connection, shot: str) -> Iterator[bytes]:
    """Every state but the empty one, as they are kept, the oldest first."""
    rows = db.execute("SELECT stack FROM edits WHERE shot = ? ORDER BY position", (shot,))
    return (row[0] for row in rows)


def named_in(kept: Iterable[bytes], addresses: set[str]) -> set[str]:
    """Those of the addresses that the states name; reads no more of them than it takes to find all."""
    found: set[str] = set()
    if addresses:
        for state in kept:
            text = _state(state)
            found |= {address for address in addresses - found if address.encode() in text}
            if found == addresses:
                break
    return found


def step(db: sqlite3.Connection, shot: str, direction: int) -> bool:
    """Move the position by one; False where no state is kept there."""
    target = _position(db, shot) + direction
    if target != 0 or direction > 0:
        row = db.execute("SELECT 1 FROM edits WHERE shot = ? AND position = ?", (shot, target)).fetchone()
        if row is None:
            return False
    db.execute("UPDATE shots SET position = ? WHERE name = ?", (target, shot))
    return True


def _state(kept: bytes) -> bytes:
    return zlib.decompress(kept) if kept.startswith(_COMPRESSED) else kept


def _position(db: sqlite3.Connection, shot: str) -> int:
    row = db.execute("SELECT position FROM shots WHERE name = ?", (shot,)).fetchone()
    return int(row[0])
