"""A plugin's state for its panel and buttons, and `pump`, which brings it up to date. No host.

One `Session` lives while the plugin is enabled (`current()` gives it). Everything in it is plain and belongs
to the main thread:

    session = current()
    session.connect("")                                   # the default daemon
    session.ask(OpenShot("plate", "/plates/p.%04d.exr"), done=lambda shot: ...)
    session.pump()                                        # a timer does this; in background mode, do it
    yourself session.pump_until(lambda: session.connection.state is ConnectionState.CONNECTED, timeout_s=10)

An answer's callback runs inside `pump`. Where a request fails and no `failed` is given, the problem becomes
`session.problem`, which the panel shows. To follow what others do (edits, frames), add a function to
`session.listeners`; it gets each news of `messages.py`.

`revision` counts changes: whoever draws compares it, and nothing has to be told of anything.
"""

from __future__ import annotations

import dataclasses
import logging
import time
import traceback
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from .link import Link
from .messages import (
    Connection,
    ConnectionState,
    DescribeJob,
    DescribeShot,
    FramesNews,
    Job,
    JobNews,
    ListJobs,
    ListShots,
    Missed,
    News,
    Problem,
    RefusedError,
    Request,
    Shot,
    ShotNews,
)

Result = TypeVar("Result")
_log = logging.getLogger("inve")

POLL_S = 2.0
"""How long an unfinished job may be quiet before it is asked for: events are sooner, but may be lost."""
KEPT_JOBS = 50
STOP_S = 3.0

_ADVICE = {
    "unreachable": "Start `inve-daemon serve --root <folder of your pictures>`, or correct the endpoint.",
    "timed_out": "Try again; `inve-daemon status` shows what the daemon is doing.",
    "bad_endpoint": "Correct the endpoint, or empty it for the default.",
    "out_of_memory": "Choose a smaller working size, or close what else uses the GPU.",
    "stale_revision": "Someone else has changed the edits; look at theirs, then do yours again.",
    "busy": "Wait for what is under way, or cancel it.",
    "not_trained": "Prepare the shot first.",
    "unknown_shot": "Prepare again: this daemon does not know the shot.",
    "worker_died": "Prepare again; it goes on from the last checkpoint.",
    "interrupted": "Prepare again; it goes on from the last checkpoint.",
    "storage": "Make room on the disk, or choose another folder.",
    "internal": "Look at the daemon's log, and report it.",
}


def advice(problem: Problem) -> str:
    """What to do about a problem, "" where its message says it already."""
    return _ADVICE.get(problem.code, "")


class Session:
    """What the plugin knows of the daemon.

    Args:
        name: the plugin's, for the daemon's log.
        preload: its modules that the first stroke needs (`Link`).

    Attributes:
        connection: how the daemon stands.
        shots: the daemon's shots by name.
        jobs: the newest jobs by id, oldest first.
        opening: shots that are being opened, to be learned next (`preparation.py`).
        are_listed: whether `shots` is what this daemon has, and not only what is known of it.
        problem: what went wrong last; None once it was dismissed.
        problems: what went wrong last with each shot, by its name.
        listeners: called with each news, after it was taken in.
        tickers: called by each `pump`, for a few milliseconds at most; True where something changed.
        revision: grows with every change.
    """

    def __init__(self, name: str = "inve_client", preload: Sequence[str] = ()) -> None:
        self._name, self._preload = name, tuple(preload)
        self.connection = Connection()
        self.shots: dict[str, Shot] = {}
        self.jobs: dict[str, Job] = {}
        self.are_listed = False
        self.problem: Problem | None = None
        self.problems: dict[str, Problem] = {}
        self.listeners: list[Callable[[News], None]] = []
        self.tickers: list[Callable[[], bool]] = []
        self.revision = 0
        self._link: Link | None = None
        self._heard: dict[str, float] = {}
        self._own_jobs: set[str] = set()
        self.opening: set[str] = set()

    # The connection

    @property
    def is_connected(self) -> bool:
        """Whether the daemon answers."""
        return self.connection.state is ConnectionState.CONNECTED

    def connect(self, endpoint: str) -> None:
        """Connect to a daemon and stay so, "" being the default one; another connection is closed first."""
        self.disconnect()
        self.problem = None
        self.problems.clear()
        self.connection = Connection(ConnectionState.CONNECTING, endpoint)
        self._link = Link(endpoint, self._take_in, self._name, self._preload)
        self._changed()

    def disconnect(self) -> None:
        """Close the connection without waiting; answers that have not come will not come any more."""
        if self._link is not None:
            self._link.close(timeout_s=0.0)
            self._link = None
        self.connection = Connection(endpoint=self.connection.endpoint)
        self.shots, self.jobs, self._heard, self._own_jobs, self.opening = {}, {}, {}, set(), set()
        self.are_listed = False
        self._changed()

    # Requests

    def ask(
        self,
        request: Request[Result],
        done: Callable[[Result], None] | None = None,
        failed: Callable[[Problem], None] | None = None,
        request_id: str | None = None,
    ) -> str:
        """Send a request; `done` gets its result, `failed` or else the panel what went wrong. Never waits.

        With a `request_id` it may be asked again after its answer got lost, and is done once.

        Raises:
            RefusedError: there is no connection to send it over.
        """
        if self._link is None:
            raise RefusedError("INVE is not connected to a daemon; press Connect.", "unreachable")
        about, told = getattr(request, "shot", ""), failed or self.fail

        def refused(problem: Problem) -> None:
            told(dataclasses.replace(problem, about=about))

        return self._link.ask(request, done, refused, request_id)

    @property
    def waiting(self) -> int:
        """How many requests have no answer yet."""
        return 0 if self._link is None else self._link.waiting

    @property
    def has_work(self) -> bool:
        """Whether a job is known that has not ended."""
        return bool(self._heard)

    def fail(self, problem: Problem, about: str = "") -> None:
        """Show a problem in the panel, and where the shot that it is `about` is shown."""
        if about:
            problem = dataclasses.replace(problem, about=about)
        self.problem = self.problems[problem.about] = problem
        self._changed()

    def dismiss(self, about: str | None = None) -> None:
        """Take the problem off the panel, and that shot's which it, or else the panel's, is `about`."""
        if about is None and self.problem is not None:
            about = self.problem.about
        self.problems.pop(about or "", None)
        self.problem = None
        self._changed()

    # Time

    def pump(self) -> bool:
        """Take in what has come, in a few milliseconds; True where something changed. Main thread only."""
        before = self.revision
        self._ask_for_quiet_jobs()
        try:
            # A list, so that each has its turn.
            came = [self._link is not None and self._link.drain(), *[tick() for tick in list(self.tickers)]]
            if any(came):
                self._changed()
        except Exception:  # noqa: BLE001 - a callback's mistake must not stop the pump for good
            trace = traceback.format_exc()
            _log.error("a mistake while taking in an answer:\n%s", trace)
            last = trace.strip().splitlines()[-1]
            self.fail(
                Problem(
                    "plugin", f"The plugin made a mistake: {last}; the console has more, please report it."
                )
            )
        return self.revision != before

    def pump_until(self, condition: Callable[[], Any], timeout_s: float) -> bool:
        """Pump until a condition holds, for scripts in background mode; False where it does not in time."""
        end = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > end:
                return False
            if not self.pump():
                time.sleep(0.005)
        return True

    def end(self, timeout_s: float) -> None:
        """Close the connection and wait for its thread, which may be writing a file."""
        if self._link is not None:
            self._link.close(timeout_s)
            self._link = None
        self.disconnect()

    # Jobs and shots

    def job_of(self, shot: str, kind: str = "train") -> Job | None:
        """The newest job of a shot."""
        for job in reversed(self.jobs.values()):
            if job.shot == shot and job.kind == kind:
                return job
        return None

    def follow(self, job_id: str) -> None:
        """Know a job as one of ours: where it fails, the panel says so."""
        self._own_jobs.add(job_id)
        self.ask(DescribeJob(job_id), self.remember_job)

    def remember_job(self, job: Job) -> None:
        """Take in a job's state, unless a later one is known."""
        known = self.jobs.get(job.id)
        if known is not None and known.ended and not job.ended:
            return
        if known is not None and known.result and not job.result:
            job = dataclasses.replace(job, result=known.result)
        self.jobs[job.id] = job
        if not job.ended:
            self._heard[job.id] = time.monotonic()
        elif known is None or not known.ended:
            self._heard.pop(job.id, None)
            if known is not None or job.id in self._own_jobs:
                self._after_end(job)
        while len(self.jobs) > KEPT_JOBS:
            self.jobs.pop(next(iter(self.jobs)))
        self._changed()

    def remember_shot(self, shot: Shot) -> None:
        """Take in a shot's description."""
        self.shots[shot.name] = shot
        self._changed()

    def _after_end(self, job: Job) -> None:
        if job.problem is not None and job.state != "cancelled" and job.id in self._own_jobs:
            self.fail(job.problem, job.shot)
        if self._link is not None:
            self._link.ask(DescribeJob(job.id), self.remember_job)
            self._link.ask(DescribeShot(job.shot), self.remember_shot)

    def _take_in(self, news: News) -> None:
        if isinstance(news, Connection):
            self._take_in_connection(news)
        elif isinstance(news, JobNews):
            self.remember_job(news.job)
        elif isinstance(news, ShotNews):
            self._take_in_shot(news)
        elif isinstance(news, Missed):
            self._ask_for_everything()
        else:
            assert isinstance(news, FramesNews)
        self._changed()
        for listener in list(self.listeners):
            listener(news)

    def _take_in_connection(self, news: Connection) -> None:
        self.connection = news
        if news.state is ConnectionState.CONNECTED:
            self.are_listed = False
            if self.problem is not None and self.problem.code == "unreachable":
                self.problem = None
            self.problems = {one: what for one, what in self.problems.items() if what.code != "unreachable"}
            self._ask_for_everything()
        elif news.problem is not None:
            self.problem = news.problem

    def _take_in_shot(self, news: ShotNews) -> None:
        if news.change == "deleted":
            self.shots.pop(news.shot, None)
            return
        known = self.shots.get(news.shot)
        if known is not None and news.change == "edits" and news.revision is not None:
            self.shots[news.shot] = dataclasses.replace(known, revision=news.revision)
        elif self._link is not None:
            # It may be deleted meanwhile, which its own news tells.
            self._link.ask(DescribeShot(news.shot), self.remember_shot)

    def _ask_for_everything(self) -> None:
        if self._link is not None:
            self._link.ask(ListShots(), self._take_in_shots, self.fail)
            self._link.ask(ListJobs(), self._take_in_jobs, self.fail)

    def _take_in_shots(self, shots: tuple[Shot, ...]) -> None:
        self.shots = {shot.name: shot for shot in shots}
        self.are_listed = True

    def _take_in_jobs(self, jobs: tuple[Job, ...]) -> None:
        for job in reversed(jobs[:KEPT_JOBS]):
            self.remember_job(job)

    def _ask_for_quiet_jobs(self) -> None:
        if self._link is None or not self.is_connected:
            return
        now = time.monotonic()
        for job_id, heard in list(self._heard.items()):
            if now - heard > POLL_S:
                self._heard[job_id] = now
                self._link.ask(DescribeJob(job_id), self.remember_job)

    def _changed(self) -> None:
        self.revision += 1


_current: Session | None = None


def current() -> Session:
    """The enabled plugin's session.

    Raises:
        RefusedError: it is not enabled.
    """
    if _current is None:
        raise RefusedError("INVE is not enabled in this application; enable it in its preferences.")
    return _current


def start(name: str, preload: Sequence[str] = ()) -> Session:
    """Make the session as the plugin is enabled; the arguments are `Session`'s."""
    global _current
    _current = Session(name, preload)
    return _current


def stop() -> None:
    """Close the session as the plugin is disabled."""
    global _current
    if _current is not None:
        _current.end(STOP_S)
        _current.listeners.clear()
        _current.tickers.clear()
        _current = None
