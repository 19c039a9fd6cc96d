"""Shots, edits and answered requests, as the daemon asks for them; `jobs` and `files` beside them."""

import contextlib
import json
import os
import sqlite3
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgpack

from inve_client.errors import (
    NothingToUndo,
    RequestIdReused,
    ShotExists,
    StaleRevision,
    StorageError,
    StoreError,
    UnknownShot,
)
from inve_daemon.store import history
from inve_daemon.store.database import Database, storage_errors
from inve_daemon.store.files import ContentFiles, sync_folder
from inve_daemon.store.filesystem import network_type
from inve_daemon.store.job_records import JobRecords

MAX_ANSWERED = 20_000
"""Request ids that are remembered; older ones are forgotten."""


@dataclass(frozen=True)
class ShotRecord:
    """A shot as stored.

    Attributes:
        source: what inve_core's ShotSource was made of, as plain data.
        video_layers: names, front to back.
        folders: resolved folders that its files were admitted from.
        model: content address of the model to render with, if there is one.
        model_final: whether training came to its end with it.
        report: the trainer's report of the model, from the time that it was saved at.
        revision: of its edits.
    """

    name: str
    source: dict[str, Any]
    video_layers: tuple[str, ...]
    folders: tuple[str, ...]
    created: float
    model: str | None
    model_final: bool
    report: dict[str, Any] | None
    revision: int


class Store:
    """One folder; belongs to the thread that opened it.

    Args:
        folder: made where it is missing, with mode 0700.
        holder: a line about this daemon, shown to a second one that wants the same store.

    Raises:
        StoreError: held by another daemon, on a network file system, or too new.
        StorageError: it cannot be written.
    """

    def __init__(self, folder: Path, holder: str = "") -> None:
        self.folder = folder
        self._unnamed: set[str] = set()
        self._holds = 0
        # A shot's current stack by its revision, which no other state of any shot has.
        self._stack: tuple[int, bytes] | None = None
        self._untidy: str | None = None
        with storage_errors(f"The store {folder}"):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            remote = network_type(folder)
        if remote is not None:
            raise StoreError(
                f"The store {folder} lies on a network file system ({remote}), where a crash can lose edits; "
                f"choose a folder on a local disk with --store."
            )
        note = folder / "held-by.txt"
        self._db = Database(folder / "inve.sqlite", held_by=_read_note(note))
        try:
            self.jobs = JobRecords(self._db)
            self.files = ContentFiles(folder)
            self.files.create()
            with storage_errors(f"The store {folder}"):
                note.write_text(holder or f"process {os.getpid()}", encoding="utf-8")
                sync_folder(folder)
                sync_folder(folder.parent)
            self.files.sweep(self._named_files())
        except BaseException:
            self._db.close()
            raise

    def close(self) -> None:
        """Let go of the store."""
        self._db.close()

    # Answered requests

    def answer(
        self, request_id: str, digest: bytes, change: Callable[[sqlite3.Connection], dict[str, Any]]
    ) -> tuple[dict[str, Any], bool]:
        """Do a change and remember its reply under the request's id, in one transaction; or find it done.

        Args:
            request_id: made by the client.
            digest: SHA-256 of the request's body.
            change: does the change and returns the reply.

        Returns:
            The reply, and whether the change was made now.

        Raises:
            RequestIdReused: the id was answered for another body.
        """
        try:
            with self._db.transaction() as db:
                known = _replay(db, request_id, digest)
                if known is not None:
                    return known, False
                reply = change(db)
                packed = msgpack.packb(reply, use_bin_type=True)
                number = db.execute(
                    "INSERT INTO answered (id, digest, reply) VALUES (?, ?, ?)", (request_id, digest, packed)
                ).lastrowid
                db.execute("DELETE FROM answered WHERE number <= ?", ((number or 0) - MAX_ANSWERED,))
        except BaseException:
            # Its revision is another state's next.
            self._stack = None
            raise
        return reply, True

    def replay(self, request_id: str, digest: bytes) -> dict[str, Any] | None:
        """The remembered reply of a request, or None.

        Raises:
            RequestIdReused: the id was answered for another body.
        """
        with self._db.reading() as db:
            return _replay(db, request_id, digest)

    # Shots

    def shots(self) -> list[ShotRecord]:
        """Every shot, by name."""
        with self._db.reading() as db:
            return [_shot(row) for row in db.execute(f"{_SELECT_SHOT} ORDER BY name")]

    def find_shot(self, name: str) -> ShotRecord | None:
        """A shot, or None."""
        with self._db.reading() as db:
            row = db.execute(f"{_SELECT_SHOT} WHERE name = ?", (name,)).fetchone()
        return None if row is None else _shot(row)

    def shot(self, name: str) -> ShotRecord:
        """A shot.

        Raises:
            UnknownShot: there is none of that name.
        """
        found = self.find_shot(name)
        if found is None:
            names = ", ".join(shot.name for shot in self.shots()[:8])
            raise UnknownShot(
                f"There is no shot {name!r} (known: {names or 'none'}); make it with `inve-daemon train`."
            )
        return found

    def add_shot(
        self,
        db: sqlite3.Connection,
        name: str,
        source: dict[str, Any],
        video_layers: Sequence[str],
        folders: Sequence[str],
    ) -> None:
        """Add a shot, inside a change; the same shot once more does no harm.

        Raises:
            ShotExists: the name belongs to other frames.
        """
        row = db.execute(f"{_SELECT_SHOT} WHERE name = ?", (name,)).fetchone()
        if row is None:
            db.execute(
                "INSERT INTO shots (name, source, video_layers, folders, created, revision) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                (name, *map(json.dumps, (source, video_layers, folders)), time.time(), _next_revision(db)),
            )
            return
        known = _shot(row).source
        if known != source:
            changed = ", ".join(
                sorted(key for key in source.keys() | known.keys() if source.get(key) != known.get(key))
            )
            raise ShotExists(
                f"The shot {name!r} exists with other pictures (other {changed}); give another --name "
                f"or `inve-daemon delete {name}` first."
            )

    def delete_shot(self, db: sqlite3.Connection, name: str) -> None:
        """Forget a shot with its edits, textures and jobs, inside a change."""
        db.execute("DELETE FROM shots WHERE name = ?", (name,))

    # Edits

    def stack(self, name: str) -> bytes:
        """The current edit stack of a shot as JSON; b"" where nothing was ever put."""
        with self._db.reading() as db:
            return self._current(db, name, self.shot(name).revision)

    def _current(self, db: sqlite3.Connection, name: str, revision: int) -> bytes:
        if self._stack is None or self._stack[0] != revision:
            self._stack = (revision, history.current(db, name))
        return self._stack[1]

    def tidy(self) -> None:
        """Have edits that were put lately take less room, one state at a call; for when there is time.

        What cannot be written stays as it is.
        """
        shot, self._untidy = self._untidy, None
        if shot is not None:
            with contextlib.suppress(StorageError), self._db.transaction() as db:
                if history.compress(db, shot):
                    self._untidy = shot

    def push_stack(
        self, db: sqlite3.Connection, name: str, base_revision: int | None, stack: bytes, textures: set[str]
    ) -> int:
        """Make a stack the current one, inside a change; what was undone can then not be redone.

        Nothing is done where it is the current one. Textures that no kept state names then are let go of, for
        `drop_unnamed` to remove after the change.

        Returns:
            The revision, a new one where the stack is.

        Raises:
            StaleRevision: the edits are not at `base_revision`.
        """
        revision = _check_revision(db, name, base_revision)
        if stack == self._current(db, name, revision):
            return revision
        dropped = history.push(db, name, stack)
        db.executemany(
            "INSERT OR IGNORE INTO textures VALUES (?, ?)", [(name, address) for address in textures]
        )
        known = {row[0] for row in db.execute("SELECT address FROM textures WHERE shot = ?", (name,))}
        gone = history.named_in(dropped, known - textures)
        gone -= history.named_in(history.states(db, name), gone)
        db.executemany(
            "DELETE FROM textures WHERE shot = ? AND address = ?", [(name, address) for address in gone]
        )
        self._unnamed |= gone
        self._untidy = name
        revision = _bump(db, name)
        self._stack = (revision, stack)
        return revision

    def step(self, db: sqlite3.Connection, name: str, base_revision: int | None, direction: int) -> int:
        """Undo (-1) or redo (+1), inside a change.

        Returns:
            The new revision.

        Raises:
            NothingToUndo: there is no such state.
            StaleRevision: the edits are not at `base_revision`.
        """
        _check_revision(db, name, base_revision)
        if not history.step(db, name, direction):
            word, what = ("undo", "older") if direction < 0 else ("redo", "newer")
            raise NothingToUndo(
                f"There is nothing to {word} in shot {name!r}: no {what} state of its edits is kept."
            )
        return _bump(db, name)

    # Files

    def drop_unnamed(self, addresses: Collection[str] = ()) -> None:
        """Remove those of the files, and of what was let go of, that the database does not name any more.

        While files are held this waits for their release.
        """
        self._unnamed.update(addresses)
        if self._unnamed and not self._holds:
            for address in self._unnamed - self._named_files():
                self.files.remove(address)
            self._unnamed.clear()

    def hold_files(self) -> None:
        """Let no file go until `release_files`: someone has found one there and is about to name it."""
        self._holds += 1

    def release_files(self) -> None:
        """The end of one `hold_files`."""
        self._holds -= 1
        self.drop_unnamed()

    def _named_files(self) -> set[str]:
        with self._db.reading() as db:
            return {
                address
                for query in (
                    "SELECT model FROM shots WHERE model IS NOT NULL",
                    "SELECT checkpoint FROM jobs WHERE checkpoint IS NOT NULL",
                    "SELECT address FROM textures",
                )
                for (address,) in db.execute(query)
            }

    def files_of(self, name: str) -> set[str]:
        """Addresses that a shot names, before it is deleted."""
        with self._db.reading() as db:
            rows = db.execute(
                "SELECT model FROM shots WHERE name = :n AND model IS NOT NULL UNION "
                "SELECT checkpoint FROM jobs WHERE shot = :n AND checkpoint IS NOT NULL UNION "
                "SELECT address FROM textures WHERE shot = :n",
                {"n": name},
            )
            return {address for (address,) in rows}


_SELECT_SHOT = (
    "SELECT name, source, video_layers, folders, created, model, model_final, report, revision FROM shots"
)


def _check_revision(db: sqlite3.Connection, name: str, base_revision: int | None) -> int:
    """Refuse a change that was made against edits which are not the current ones.

    Returns:
        The current revision.

    Raises:
        StaleRevision: with the current revision.
        UnknownShot: the shot was deleted meanwhile.
    """
    row = db.execute("SELECT revision FROM shots WHERE name = ?", (name,)).fetchone()
    if row is None:
        raise UnknownShot(f"The shot {name!r} was deleted meanwhile.")
    expect_revision(name, row[0], base_revision)
    return int(row[0])


def expect_revision(name: str, revision: int, base_revision: int | None) -> None:
    """Refuse a change that was made against another revision than the current one; None is against any.

    Raises:
        StaleRevision: with the current revision.
    """
    if base_revision is not None and base_revision != revision:
        raise StaleRevision(
            f"The edits of shot {name!r} are at revision {revision}, the change was made against "
            f"{base_revision}; fetch the shot's edits and make the change again.",
            revision=revision,
        )


def _replay(db: sqlite3.Connection, request_id: str, digest: bytes) -> dict[str, Any] | None:
    row = db.execute("SELECT digest, reply FROM answered WHERE id = ?", (request_id,)).fetchone()
    if row is None:
        return None
    if row[0] != digest:
        raise RequestIdReused(
            f"The request id {request_id!r} was used for another request; make a new id for each."
        )
    return dict(msgpack.unpackb(row[1], raw=False))


def _next_revision(db: sqlite3.Connection) -> int:
    db.execute("UPDATE counters SET value = value + 1 WHERE name = 'revision'")
    (value,) = db.execute("SELECT value FROM counters WHERE name = 'revision'").fetchone()
    return int(value)


def _bump(db: sqlite3.Connection, name: str) -> int:
    revision = _next_revision(db)
    db.execute("UPDATE shots SET revision = ? WHERE name = ?", (revision, name))
    return revision


def _shot(row: tuple[Any, ...]) -> ShotRecord:
    name, source, video_layers, folders, created, model, final, report, revision = row
    return ShotRecord(
        name=name,
        source=json.loads(source),
        video_layers=tuple(json.loads(video_layers)),
        folders=tuple(json.loads(folders)),
        created=created,
        model=model,
        model_final=bool(final),
        report=None if report is None else json.loads(report),
        revision=revision,
    )


def _read_note(note: Path) -> str:
    try:
        return f" ({note.read_text(encoding='utf-8')[:200]})"
    except OSError:
        return ""
