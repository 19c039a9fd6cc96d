"""Requests about the daemon and its jobs. They need no worker, and so never queue behind work."""

import os
import time

from inve_client.version import PROTOCOL, VERSION
from inve_daemon import schema
from inve_daemon.answers.base import Answer, Group, Handlers


class ControlAnswers(Group):
    """hello, status, shutdown, list_jobs, describe_job, cancel."""

    def handlers(self) -> Handlers:
        """What answers which request."""
        return {
            schema.Hello: self._hello,
            schema.Status: self._status,
            schema.Shutdown: self._shutdown,
            schema.ListJobs: self._list_jobs,
            schema.DescribeJob: self._describe_job,
            schema.Cancel: self._cancel,
        }

    def _hello(self, request: schema.Hello, answer: Answer) -> None:
        daemon = self.daemon
        answer.give(
            {
                "protocol": PROTOCOL,
                "version": VERSION,
                "session": daemon.session,
                "events": daemon.events,
                "device": daemon.device,
                "pid": os.getpid(),
            }
        )

    def _status(self, request: schema.Status, answer: Answer) -> None:
        daemon, worker = self.daemon, self.daemon.worker
        answer.give(
            {
                "version": VERSION,
                "protocol": PROTOCOL,
                "session": daemon.session,
                "pid": os.getpid(),
                "uptime_s": round(time.monotonic() - daemon.started, 3),
                "store": str(self.store.folder),
                "roots": list(daemon.roots.folders),
                "device": daemon.device,
                "worker": {
                    "state": worker.state,
                    "pid": worker.pid,
                    "device": worker.device_name,
                    "backend": worker.backend,
                    "passed_over": list(worker.passed_over),
                    "tasks": worker.busy,
                    "deaths": worker.deaths,
                },
                "shots": len(self.store.shots()),
                "jobs": daemon.jobs.counts,
                "events": {"endpoint": daemon.events, "seq": daemon.publisher.seq},
            }
        )

    def _shutdown(self, request: schema.Shutdown, answer: Answer) -> None:
        answer.give({"session": self.daemon.session})
        self.daemon.stop()

    def _list_jobs(self, request: schema.ListJobs, answer: Answer) -> None:
        jobs = self.daemon.jobs
        described = [jobs.describe(jobs.job(job.id)) for job in self.store.jobs.newest()]
        for one in described:
            # The course of a training is for whoever asks for that one job.
            one["result"] = one["result"] and {**one["result"], "history": []}
        answer.give({"jobs": described})

    def _describe_job(self, request: schema.DescribeJob, answer: Answer) -> None:
        answer.give(self.daemon.jobs.describe(self.daemon.jobs.job(request.job)))

    def _cancel(self, request: schema.Cancel, answer: Answer) -> None:
        answer.give(self.daemon.jobs.describe(self.daemon.jobs.cancel(request.job)))
