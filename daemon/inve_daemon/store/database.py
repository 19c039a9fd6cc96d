"""The SQLite file: opened for this daemon alone, synced with every commit, its errors told apart."""

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

from inve_client.errors import InternalError, InveError, StorageError, StoreError

SCHEMA_VERSION = 1
_APPLICATION_ID = 0x494E5645  # "INVE"
_LOCK_WAIT_S = 2.0

_SCHEMA = """
CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO counters VALUES ('revision', 0);
CREATE TABLE shots (
    name TEXT PRIMARY KEY,
    source TEXT NOT NULL,       -- JSON: what inve_core's ShotSource needs to be made again
    video_layers TEXT NOT NULL, -- JSON: names, front to back
    folders TEXT NOT NULL,      -- JSON: resolved folders that its files were admitted from
    created REAL NOT NULL,
    model TEXT,                 -- content address of the model to render with
    model_final INTEGER NOT NULL DEFAULT 0,
    report TEXT,                -- JSON: the trainer's report of the model
    revision INTEGER NOT NULL,  -- of the edits; grows across all shots: a name used again starts higher
    position INTEGER NOT NULL DEFAULT 0  -- where in its undo history
);
CREATE TABLE edits (
    shot TEXT NOT NULL REFERENCES shots(name) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    stack BLOB NOT NULL,        -- zlib of EDITS.json
    PRIMARY KEY (shot, position)
);
CREATE TABLE textures (
    shot TEXT NOT NULL REFERENCES shots(name) ON DELETE CASCADE,
    address TEXT NOT NULL,
    PRIMARY KEY (shot, address)
) WITHOUT ROWID;
CREATE TABLE jobs (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    shot TEXT NOT NULL REFERENCES shots(name) ON DELETE CASCADE,
    settings TEXT NOT NULL,
    state TEXT NOT NULL,
    created REAL NOT NULL,
    result TEXT,
    error TEXT,
    checkpoint TEXT
);
CREATE INDEX jobs_by_shot ON jobs (shot);
CREATE TABLE answered (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    digest BLOB NOT NULL,       -- SHA-256 of the request's body
    reply BLOB NOT NULL         -- msgpack of the result
);
"""


class Database:
    """One exclusive connection; belongs to the thread that made it.

    Args:
        path: the database file; made where it is missing.
        held_by: a sentence about the daemon that probably holds it, for the error.

    Raises:
        StoreError: another process holds it, or a newer release wrote it, or it is no store at all.
        StorageError: it cannot be written.
    """

    def __init__(self, path: Path, held_by: str = "") -> None:
        self.path = path
        self._connection = self._open(held_by)

    def _open(self, held_by: str) -> sqlite3.Connection:
        with storage_errors(f"The store {self.path.parent}"):
            connection = sqlite3.connect(self.path, isolation_level=None, timeout=0.0)
        try:
            with storage_errors(f"The store {self.path.parent}"):
                # EXCLUSIVE before the first access keeps the WAL index in memory and every other process out.
                connection.execute("PRAGMA locking_mode = EXCLUSIVE")
                self._lock(connection, held_by)
                # Whose file it is comes before anything that writes to it.
                is_new = self._is_new(connection)
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = FULL")
                connection.execute("PRAGMA foreign_keys = ON")
                connection.execute("PRAGMA wal_autocheckpoint = 1000")
                if is_new:
                    self._create(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _lock(self, connection: sqlite3.Connection, held_by: str) -> None:
        deadline = time.monotonic() + _LOCK_WAIT_S
        while True:
            try:
                connection.execute("BEGIN EXCLUSIVE")
                connection.execute("COMMIT")
                return
            except sqlite3.OperationalError as error:
                if "locked" not in str(error):
                    raise
                if time.monotonic() > deadline:
                    raise StoreError(
                        f"The store {self.path.parent} is held by another daemon{held_by}; connect to it, "
                        f"end it, or choose another folder with --store."
                    ) from error
            except sqlite3.DatabaseError as error:
                raise StoreError(
                    f"{self.path} is no store of inve-daemon ({error}); choose another folder with --store."
                ) from error
            time.sleep(0.05)

    def _is_new(self, connection: sqlite3.Connection) -> bool:
        (found,) = connection.execute("PRAGMA user_version").fetchone()
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        if not tables:
            return True
        if application != _APPLICATION_ID:
            raise StoreError(f"{self.path} is another program's database; choose another --store.")
        if found > SCHEMA_VERSION:
            raise StoreError(
                f"The store {self.path.parent} was written by a newer release (format {found}, "
                f"this one knows {SCHEMA_VERSION}); install that release or choose another --store."
            )
        return False

    def _create(self, connection: sqlite3.Connection) -> None:
        connection.executescript(
            f"BEGIN; PRAGMA application_id = {_APPLICATION_ID}; {_SCHEMA} "
            f"PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
        )

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing: committed and synced when the block ends, undone when it raises.

        Raises:
            StorageError: no space, or the disk failed; nothing was changed.
        """
        with storage_errors("The store"):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                # SQLite itself rolls back after some failures; then there is nothing left to undo.
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The connection, for questions only.

        Raises:
            StorageError: the disk failed.
        """
        with storage_errors("The store"):
            yield self._connection

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()


@contextlib.contextmanager
def storage_errors(what: str) -> Iterator[None]:
    """Turn what SQLite and the system say about a disk into a StorageError that says what to do."""
    try:
        yield
    except InveError:
        raise
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", "") or ""
        text = str(error)
        if name == "SQLITE_FULL" or "full" in text:
            raise StorageError(
                f"{what} could not be written: the disk is full; free some space and try again."
            ) from error
        if (
            name.startswith(("SQLITE_IOERR", "SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM"))
            or "disk I/O" in text
        ):
            raise StorageError(
                f"{what} could not be written or read ({text}); check its disk and permissions."
            ) from error
        raise InternalError(f"{what}: SQLite said {text!r} ({name or type(error).__name__}).") from error
    except OSError as error:
        reason = error.strerror or os.strerror(error.errno or 0)
        raise StorageError(
            f"{what} could not be written: {reason}; free some space or check permissions."
        ) from error
