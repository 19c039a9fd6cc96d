"""Jobs from the queue to their end: one training and one rendering at a time, by the table in `jobs`."""

import dataclasses
import logging
import time
from collections import deque
from collections.abc import Mapping
from typing import Any

from inve_client.errors import Cancelled, Interrupted, InveError, StorageError
from inve_daemon.events import Publisher
from inve_daemon.jobs import Job, JobEvent, JobState, Progress, next_state
from inve_daemon.pipe import Message
from inve_daemon.roots import Roots
from inve_daemon.store import Store
from inve_daemon.supervisor import Callbacks, WorkerSupervisor

log = logging.getLogger("inve.jobs")

RETRY_WRITE_S = 2.0


class JobRunner:
    """Keeps the unfinished jobs; belongs to the server's thread.

    Args:
        store: where jobs are written down.
        worker: does them.
        publisher: tells of them.
        roots: for the outputs of renders.
    """

    def __init__(self, store: Store, worker: WorkerSupervisor, publisher: Publisher, roots: Roots) -> None:
        self._store = store
        self._worker = worker
        self._publisher = publisher
        self._roots = roots
        self._queues: dict[str, deque[str]] = {"train": deque(), "render": deque()}
        self._jobs: dict[str, Job] = {}
        self._progress: dict[str, Progress] = {}
        self._tasks: dict[str, int] = {}
        # Ends that a full disk kept from being written down; they are told, and written when there is room.
        self._unwritten: dict[str, Job] = {}
        self._next_retry = 0.0
        self._retired: set[str] = set()
        self.stopping = False

    # What the store holds from an earlier daemon

    def recover(self, *, requeue: bool) -> None:
        """Deal with the jobs that an earlier daemon left unfinished.

        Args:
            requeue: go on with trainings (a serving daemon), or mark everything interrupted (a private one).
        """
        for job in self._store.jobs.unfinished():
            self._jobs[job.id], self._progress[job.id] = job, Progress()
            again = requeue and job.kind == "train" and next_state(job.state, JobEvent.REQUEUE) is not None
            if again:
                log.info("going on with job %s of shot %s", job.id, job.shot)
                self._move(job.id, JobEvent.REQUEUE)
                self._queues[job.kind].append(job.id)
            else:
                ended = Interrupted("The daemon ended before the job did; ask for it again.")
                self._move(job.id, JobEvent.INTERRUPT, error=ended)
        self.pump()

    # What requests ask for

    def enqueue(self, job: Job) -> None:
        """Take on a job that the store has."""
        self._jobs[job.id], self._progress[job.id] = job, Progress()
        self._queues[job.kind].append(job.id)
        self._publisher.job(job, self._progress[job.id])
        self.pump()

    def cancel(self, job_id: str) -> Job:
        """End a job, or leave it as it is where it has ended.

        Raises:
            UnknownJob: there is none of that id.
        """
        job = self.job(job_id)
        if next_state(job.state, JobEvent.CANCEL) is None:
            return job
        if job.state is JobState.QUEUED:
            self._queues[job.kind].remove(job_id)
            self._move(job_id, JobEvent.CANCEL, error=Cancelled("The job was cancelled before it began."))
        else:
            self._move(job_id, JobEvent.CANCEL)
            self._worker.cancel(self._tasks[job_id])
        return self.job(job_id)

    def job(self, job_id: str) -> Job:
        """A job as it is now.

        Raises:
            UnknownJob: there is none of that id.
        """
        known = self._jobs.get(job_id) or self._unwritten.get(job_id)
        return known or self._store.jobs.get(job_id)

    def describe(self, job: Job) -> dict[str, Any]:
        """A job as plain data, with its progress."""
        progress = self._progress.get(job.id, Progress(stage=job.state.value))
        return {**job.to_wire(), "progress": progress.to_wire()}

    def unfinished(self, shot: str) -> list[Job]:
        """A shot's jobs that have not ended."""
        return [job for job in self._jobs.values() if job.shot == shot]

    @property
    def counts(self) -> dict[str, int]:
        """How many jobs wait and run."""
        waiting = sum(len(waiting) for waiting in self._queues.values())
        return {"queued": waiting, "running": len(self._tasks)}

    # The machinery

    def pump(self) -> None:
        """Start what can be started."""
        for kind, waiting in self._queues.items():
            busy = any(self._jobs[job_id].kind == kind for job_id in self._tasks)
            if waiting and not busy and not self.stopping:
                self._begin(waiting.popleft())

    def tick(self) -> None:
        """Write down what could not be written before."""
        if not self._unwritten or time.monotonic() < self._next_retry:
            return
        self._next_retry = time.monotonic() + RETRY_WRITE_S
        for job_id, job in list(self._unwritten.items()):
            if self._write(job):
                del self._unwritten[job_id]

    def _begin(self, job_id: str) -> None:
        job = self._jobs[job_id]
        try:
            op, args = self._order(job)
        except InveError as error:
            self._move(job_id, JobEvent.FAIL, error=error)
            return
        self._move(job_id, JobEvent.START)
        callbacks = Callbacks(
            done=lambda result: self._done(job_id, result),
            failed=lambda error: self._failed(job_id, error),
            news=lambda message: self._news(job_id, message),
        )
        self._tasks[job_id] = self._worker.submit(op, args, callbacks)

    def _order(self, job: Job) -> tuple[str, Message]:
        shot = self._store.shot(job.shot)
        common = {"shot": job.shot, "source": shot.source, "folders": list(shot.folders), **job.settings}
        if job.kind == "train":
            return "train", {**common, "resume": job.checkpoint}
        stack = self._store.stack(job.shot)
        return "render_files", {
            **common,
            "model": shot.model,
            "stack": stack,
            "roots": list(self._roots.folders),
        }

    def _news(self, job_id: str, message: Message) -> None:
        job = self._jobs[job_id]
        if message["event"] == "progress":
            self._progress[job_id] = Progress(
                stage=str(message["stage"]),
                iteration=int(message["iteration"]),
                iterations=int(message["iterations"]),
                iterations_per_s=message.get("iterations_per_s"),
                seconds_left=message.get("seconds_left"),
                losses=message["losses"],
                warnings=message["warnings"],
            )
            self._publisher.job(job, self._progress[job_id])
        elif message["event"] == "frames":
            self._publisher.frames(job.shot, job_id, message["frames"])
        elif message["event"] == "checkpoint":
            self._checkpoint(job, str(message["address"]), message["report"])

    def _checkpoint(self, job: Job, address: str, report: dict[str, Any]) -> None:
        superseded = job.checkpoint
        self._jobs[job.id] = dataclasses.replace(job, checkpoint=address)
        try:
            if self._store.jobs.set_checkpoint(job, address, report):
                self._publisher.shot(job.shot, "model")
        except StorageError as error:
            log.warning("a checkpoint of shot %s was not written down: %s", job.shot, error)
            return
        if superseded is not None:
            self._retire({superseded})

    def _retire(self, addresses: set[str]) -> None:
        """Drop files that nothing names, one round late: the worker may just be loading one of them."""
        self._store.drop_unnamed(self._retired)
        self._retired = addresses

    def _done(self, job_id: str, result: Message) -> None:
        job = self._jobs[job_id]
        if job.kind == "render":
            self._move(job_id, JobEvent.FINISH, result={"shot": job.shot, **result})
            return
        superseded = self._store.files_of(job.shot)
        outcome = self._training_result(job, result)
        try:
            self._store.jobs.finish_training(job, result["model"], result["report"], outcome)
        except StorageError as error:
            self._failed(job_id, error)
            return
        self._retire(superseded)
        self._move(job_id, JobEvent.FINISH, result=outcome)
        self._publisher.shot(job.shot, "model")

    def _training_result(self, job: Job, result: Message) -> dict[str, Any]:
        report: Mapping[str, Any] = result["report"]
        frames = self._store.shot(job.shot).source["frames"]
        return {
            **report,
            "shot": job.shot,
            "frames": len(frames),
            "first_frame": frames[0],
            "last_frame": frames[-1],
            "total_s": result["total_s"],
            "warnings": [*result["warnings"], *(report.get("warnings") or [])],
        }

    def _failed(self, job_id: str, error: InveError) -> None:
        if isinstance(error, Interrupted) or (self.stopping and not isinstance(error, Cancelled)):
            # The daemon is ending: the job stays unfinished in the store, for the next one to go on with.
            self._tasks.pop(job_id, None)
            return
        cancelled = isinstance(error, Cancelled) and self._jobs[job_id].state is JobState.CANCELLING
        self._move(job_id, JobEvent.STOP if cancelled else JobEvent.FAIL, error=error)

    def _move(
        self,
        job_id: str,
        event: JobEvent,
        *,
        result: dict[str, Any] | None = None,
        error: InveError | None = None,
    ) -> None:
        """Take a job to its next state, write it down, tell of it, and let others begin if it has ended."""
        job = self._jobs[job_id]
        state = next_state(job.state, event)
        if state is None:
            log.warning("job %s: %s means nothing in state %s", job_id, event.value, job.state.value)
            return
        job = dataclasses.replace(
            job, state=state, result=result, error=None if error is None else error.to_wire()
        )
        self._jobs[job_id] = job
        written = self._write(job)
        progress = self._progress[job_id]
        if job.ended:
            self._tasks.pop(job_id, None)
            del self._jobs[job_id], self._progress[job_id]
            if not written:
                self._unwritten[job_id] = job
        self._publisher.job(job, progress)
        if job.ended:
            self.pump()

    def _write(self, job: Job) -> bool:
        try:
            self._store.jobs.set_state(job.id, job.state, result=job.result, error=job.error)
        except StorageError as error:
            log.warning("the state of job %s was not written down: %s", job.id, error)
            return False
        return True
