"""Requests about shots, and learning them."""

import sqlite3
from typing import Any

from inve_client.errors import BadField, Busy
from inve_core.presets import PRESETS
from inve_daemon import editing, schema
from inve_daemon.answers.base import Answer, Group, Handlers, new_job
from inve_daemon.pipe import Message
from inve_daemon.store import ShotRecord
from inve_daemon.supervisor import Callbacks


class ShotAnswers(Group):
    """open_shot, list_shots, describe_shot, close_shot, delete_shot, train."""

    def handlers(self) -> Handlers:
        """What answers which request."""
        return {
            schema.OpenShot: self._open_shot,
            schema.ListShots: self._list_shots,
            schema.DescribeShot: self._describe_shot,
            schema.CloseShot: self._close_shot,
            schema.DeleteShot: self._delete_shot,
            schema.Train: self._train,
        }

    def describe(self, shot: ShotRecord) -> dict[str, Any]:
        """A shot as clients see it."""
        source = shot.source
        return {
            "shot": shot.name,
            "frames": source["frames"],
            "width": source["width"],
            "height": source["height"],
            "pixel_aspect": source["pixel_aspect"],
            "source_type": source["source_type"],
            "frames_pattern": source["frames_pattern"],
            "matte_patterns": source["matte_patterns"],
            "flow_pattern": source.get("flow_pattern"),
            "video_layers": list(shot.video_layers),
            "created": shot.created,
            "trained": shot.model is not None,
            "final": shot.model_final,
            "report": shot.report,
            "revision": shot.revision,
            "jobs": [job.id for job in self.daemon.jobs.unfinished(shot.name)],
        }

    def _open_shot(self, request: schema.OpenShot, answer: Answer) -> None:
        roots = self.daemon.roots
        span = request.frame_range
        args = {
            "frames": roots.admit_pattern(request.frames, "the frames"),
            "mattes": [roots.admit_pattern(pattern, "the mattes") for pattern in request.mattes],
            "frame_range": None if span is None else list(span),
            "flow": None if request.flow is None else roots.admit_pattern(request.flow, "the flow"),
            "roots": list(roots.folders),
        }

        def opened(result: Message) -> None:
            def change(db: sqlite3.Connection) -> dict[str, Any]:
                self.store.add_shot(
                    db, request.shot, result["source"], result["video_layers"], result["folders"]
                )
                return self.describe(self.store.shot(request.shot))

            reply, now = self.store.answer(answer.request_id, answer.digest, change)
            if now:
                self.daemon.publisher.shot(request.shot, "opened", reply["revision"])
            answer.give(reply)

        self.ask_worker("open_shot", args, answer, opened)

    def _list_shots(self, request: schema.ListShots, answer: Answer) -> None:
        described = [self.describe(shot) for shot in self.store.shots()]
        for one in described:
            frames = one.pop("frames")
            one |= {"frame_count": len(frames), "first_frame": frames[0], "last_frame": frames[-1]}
            one["report"] = one["report"] and {**one["report"], "history": []}
        answer.give({"shots": described})

    def _describe_shot(self, request: schema.DescribeShot, answer: Answer) -> None:
        shot = self.store.shot(request.shot)
        described = self.describe(shot)
        if request.with_edits:
            described["stack"] = editing.plain(editing.decode(self.store.stack(shot.name)))
        answer.give(described)

    def _close_shot(self, request: schema.CloseShot, answer: Answer) -> None:
        self.store.shot(request.shot)
        self._forget(request.shot)
        answer.give({"shot": request.shot})

    def _forget(self, shot: str) -> None:
        if self.daemon.worker.pid is not None:
            nothing = Callbacks(done=lambda result: None, failed=lambda error: None)
            self.daemon.worker.submit("forget", {"shot": shot}, nothing)

    def _delete_shot(self, request: schema.DeleteShot, answer: Answer) -> None:
        shot = self.store.shot(request.shot)
        unfinished = self.daemon.jobs.unfinished(shot.name)
        if unfinished:
            job = unfinished[0]
            raise Busy(
                f"Shot {shot.name!r} is at work; `inve-daemon cancel {job.id}` ends its {job.kind} job."
            )
        files = self.store.files_of(shot.name)

        def change(db: sqlite3.Connection) -> dict[str, Any]:
            self.store.delete_shot(db, shot.name)
            return {"shot": shot.name}

        reply, _ = self.store.answer(answer.request_id, answer.digest, change)
        self._forget(shot.name)
        self.store.drop_unnamed(files)
        self.daemon.publisher.shot(shot.name, "deleted")
        answer.give(reply)

    def _train(self, request: schema.Train, answer: Answer) -> None:
        shot = self.store.shot(request.shot)
        if request.preset not in PRESETS:
            raise BadField(
                f"`preset` must be one of {', '.join(PRESETS)}, got {request.preset!r}.", field="preset"
            )
        settings = {"preset": request.preset, "working_size": request.working_size, "seed": request.seed}
        running = [job for job in self.daemon.jobs.unfinished(shot.name) if job.kind == "train"]
        if running and running[0].settings != settings:
            raise Busy(
                f"Shot {shot.name!r} is being learned with other settings (job {running[0].id}); "
                f"`inve-daemon cancel {running[0].id}` first, or wait for it."
            )
        job = running[0] if running else new_job("train", shot, settings, self._checkpoint(shot, settings))

        def change(db: sqlite3.Connection) -> dict[str, Any]:
            if not running:
                self.store.jobs.add(db, job)
            return {"job": job.id}

        reply, now = self.store.answer(answer.request_id, answer.digest, change)
        if now and not running:
            self.daemon.jobs.enqueue(job)
        answer.give(reply)

    def _checkpoint(self, shot: ShotRecord, settings: dict[str, Any]) -> str | None:
        """Where the newest unfinished training of the same settings stopped."""
        for job in self.store.jobs.newest(shot.name):
            unusable = job.error is not None and job.error["code"] in {
                "internal",
                "out_of_memory",
                "bad_checkpoint",
            }
            if (
                job.kind == "train"
                and job.settings == settings
                and job.checkpoint is not None
                and not unusable
            ):
                return job.checkpoint
        return None
