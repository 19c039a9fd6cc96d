"""The undo history of a shot's edits: numbered states, and a position among them. State 0 is empty."""

import sqlite3
import zlib

MAX_STATES = 500
MAX_BYTES = 64 << 20
"""Most states, and compressed bytes, that are kept for a shot; the oldest go first."""


def current(db: sqlite3.Connection, shot: str) -> bytes:
    """The state at the position, as it was pushed; b"" for state 0."""
    row = db.execute(
        "SELECT edits.stack FROM shots "
        "JOIN edits ON edits.shot = shots.name AND edits.position = shots.position WHERE shots.name = ?",
        (shot,),
    ).fetchone()
    return b"" if row is None else zlib.decompress(row[0])


def push(db: sqlite3.Connection, shot: str, stack: bytes) -> None:
    """Add a state after the position, drop all that came after, and the oldest beyond the limits."""
    position = _position(db, shot) + 1
    db.execute("DELETE FROM edits WHERE shot = ? AND position >= ?", (shot, position))
    db.execute("INSERT INTO edits VALUES (?, ?, ?)", (shot, position, zlib.compress(stack, 1)))
    db.execute("UPDATE shots SET position = ? WHERE name = ?", (position, shot))
    db.execute("DELETE FROM edits WHERE shot = ? AND position <= ?", (shot, position - MAX_STATES))
    kept = 0
    sizes = db.execute(
        "SELECT position, length(stack) FROM edits WHERE shot = ? ORDER BY position DESC", (shot,)
    ).fetchall()
    for number, size in sizes:
        kept += size
        if kept > MAX_BYTES and number != position:
            db.execute("DELETE FROM edits WHERE shot = ? AND position <= ?", (shot, number))
            break


def step(db: sqlite3.Connection, shot: str, direction: int) -> bool:
    """Move the position by one; False where no state is kept there."""
    target = _position(db, shot) + direction
    if target != 0 or direction > 0:
        row = db.execute("SELECT 1 FROM edits WHERE shot = ? AND position = ?", (shot, target)).fetchone()
        if row is None:
            return False
    db.execute("UPDATE shots SET position = ? WHERE name = ?", (target, shot))
    return True


def _position(db: sqlite3.Connection, shot: str) -> int:
    row = db.execute("SELECT position FROM shots WHERE name = ?", (shot,)).fetchone()
    return int(row[0])
