"""From pictures to a shot that is being learned: open it, then train it. No waiting."""

from __future__ import annotations

from .messages import Cancel, OpenShot, Problem, Shot, Train
from .session import Session


def prepare(session: Session, opening: OpenShot, training: Train) -> None:
    """Open a shot and start learning it; `session.opening` and `session.job_of` tell how far it is.

    Raises:
        RefusedError: there is no connection.
    """

    def opened(shot: Shot) -> None:
        session.remember_shot(shot)
        if opening.shot in session.opening:
            session.ask(training, done=started, failed=failed)

    def started(job_id: str) -> None:
        wanted = opening.shot in session.opening
        session.opening.discard(opening.shot)
        session.follow(job_id)
        if not wanted:
            session.ask(Cancel(job_id), done=session.remember_job)

    def failed(problem: Problem) -> None:
        session.opening.discard(opening.shot)
        session.fail(problem)

    session.ask(opening, done=opened, failed=failed)
    session.opening.add(opening.shot)


def cancel(session: Session, shot: str) -> bool:
    """End a shot's preparation, whatever it is at; False where nothing was going on."""
    if shot in session.opening:
        session.opening.discard(shot)
        return True
    job = session.job_of(shot)
    if job is None or job.ended:
        return False
    session.ask(Cancel(job.id), done=session.remember_job)
    return True
