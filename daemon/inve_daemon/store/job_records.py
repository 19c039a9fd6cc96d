"""Jobs in the database, and what their ends and checkpoints change of a shot in the same transaction."""

import json
import sqlite3
from typing import Any

from inve_client.errors import UnknownJob
from inve_daemon.jobs import ENDED, Job, JobState
from inve_daemon.store.database import Database

MAX_LISTED = 200

_SELECT = "SELECT id, kind, shot, settings, state, created, result, error, checkpoint FROM jobs"


class JobRecords:
    """The jobs of a store."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def add(self, db: sqlite3.Connection, job: Job) -> None:
        """Add a job, inside a change."""
        db.execute(
            "INSERT INTO jobs (id, kind, shot, settings, state, created, checkpoint) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                job.id,
                job.kind,
                job.shot,
                json.dumps(job.settings),
                job.state.value,
                job.created,
                job.checkpoint,
            ),
        )

    def get(self, job_id: str) -> Job:
        """A job.

        Raises:
            UnknownJob: there is none of that id.
        """
        with self._db.reading() as db:
            row = db.execute(f"{_SELECT} WHERE id = ?", (job_id,)).fetchone()
        if row is None:
            raise UnknownJob(f"There is no job {job_id!r}; `inve-daemon jobs` lists them.")
        return _job(row)

    def newest(self, shot: str | None = None) -> list[Job]:
        """The newest jobs, of one shot or of all, newest first."""
        with self._db.reading() as db:
            rows = db.execute(
                f"{_SELECT} WHERE :shot IS NULL OR shot = :shot "
                "ORDER BY created DESC, rowid DESC LIMIT :limit",
                {"shot": shot, "limit": MAX_LISTED},
            ).fetchall()
        return [_job(row) for row in rows]

    def unfinished(self) -> list[Job]:
        """Every job that has not ended, oldest first."""
        ended = ", ".join(f"'{state.value}'" for state in ENDED)
        with self._db.reading() as db:
            rows = db.execute(f"{_SELECT} WHERE state NOT IN ({ended}) ORDER BY created, rowid").fetchall()
        return [_job(row) for row in rows]

    def set_state(
        self,
        job_id: str,
        state: JobState,
        *,
        result: dict[str, Any] | None = None,
        error: dict[str, Any] | None = None,
    ) -> None:
        """Write down where a job is."""
        with self._db.transaction() as db:
            _set_state(db, job_id, state, result, error)

    def finish_training(self, job: Job, address: str, report: dict[str, Any], result: dict[str, Any]) -> None:
        """A job is done and its model is the shot's, in one transaction."""
        with self._db.transaction() as db:
            db.execute(
                "UPDATE shots SET model = ?, model_final = 1, report = ? WHERE name = ?",
                (address, json.dumps(report), job.shot),
            )
            _set_state(db, job.id, JobState.DONE, result, None)
            db.execute("UPDATE jobs SET checkpoint = NULL WHERE shot = ?", (job.shot,))

    def set_checkpoint(self, job: Job, address: str, report: dict[str, Any] | None = None) -> bool:
        """Name a job's newest checkpoint; a shot without a final model is rendered with it at once.

        Args:
            job: what is being learned.
            address: of the checkpoint.
            report: the trainer's at its time; it says how good what edits are rendered with is.

        Returns:
            Whether it is now the shot's model.
        """
        with self._db.transaction() as db:
            db.execute("UPDATE jobs SET checkpoint = ? WHERE id = ?", (address, job.id))
            changed = db.execute(
                "UPDATE shots SET model = ?, report = ? WHERE name = ? AND model_final = 0",
                (address, None if report is None else json.dumps(report), job.shot),
            ).rowcount
        return bool(changed)


def _set_state(
    db: sqlite3.Connection,
    job_id: str,
    state: JobState,
    result: dict[str, Any] | None,
    error: dict[str, Any] | None,
) -> None:
    packed = [None if one is None else json.dumps(one) for one in (result, error)]
    db.execute(
        "UPDATE jobs SET state = ?, result = ?, error = ? WHERE id = ?", (state.value, *packed, job_id)
    )


def _job(row: tuple[Any, ...]) -> Job:
    job_id, kind, shot, settings, state, created, result, error, checkpoint = row
    return Job(
        id=job_id,
        kind=kind,
        shot=shot,
        settings=json.loads(settings),
        state=JobState(state),
        created=created,
        result=None if result is None else json.loads(result),
        error=None if error is None else json.loads(error),
        checkpoint=checkpoint,
    )
