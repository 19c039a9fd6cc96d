"""Requests for pictures and tracks, which the worker answers from a shot's model."""

import sqlite3
from typing import Any

from inve_client.errors import BadField, MediaError, NotTrained, TooLarge
from inve_core.points import check_points
from inve_daemon import schema
from inve_daemon.answers.base import Answer, Group, Handlers, new_job, picture_of
from inve_daemon.pipe import Message
from inve_daemon.store import ShotRecord


class PictureAnswers(Group):
    """track, render, view_atlas."""

    def handlers(self) -> Handlers:
        """What answers which request."""
        return {
            schema.Track: self._track,
            schema.Render: self._render,
            schema.ViewAtlas: self._view_atlas,
        }

    def _model_args(self, shot: ShotRecord) -> Message:
        """What the worker needs to load a shot's model.

        Raises:
            NotTrained: there is none yet.
        """
        if shot.model is None:
            training = [job.id for job in self.daemon.jobs.unfinished(shot.name) if job.kind == "train"]
            hint = (
                f"job {training[0]} has only begun, try again soon"
                if training
                else "run `inve-daemon train` first"
            )
            raise NotTrained(f"Shot {shot.name!r} has no model yet; {hint}.")
        return {"shot": shot.name, "model": shot.model, "source": shot.source, "folders": list(shot.folders)}

    def _frames(self, shot: ShotRecord, asked: tuple[int, ...] | None) -> list[int]:
        known = shot.source["frames"]
        if asked is None:
            return list(known)
        missing = sorted(set(asked) - set(known))
        if missing:
            raise MediaError(
                f"Frame {missing[0]} is not in shot {shot.name!r}, which has frames {known[0]}-{known[-1]}; "
                f"ask for one of these."
            )
        return list(dict.fromkeys(asked))

    def _track(self, request: schema.Track, answer: Answer) -> None:
        shot = self.store.shot(request.shot)
        check_points(request.points, **picture_of(shot))
        args = {
            **self._model_args(shot),
            "points": [
                {
                    "id": point.id,
                    "frame": point.frame,
                    "x": point.x,
                    "y": point.y,
                    "video_layer": point.video_layer,
                }
                for point in request.points
            ],
            "frames": None if request.frames is None else self._frames(shot, request.frames),
        }
        self.ask_worker("track", args, answer, answer.give)

    def _render(self, request: schema.Render, answer: Answer) -> None:
        shot = self.store.shot(request.shot)
        frames = self._frames(shot, request.frames)
        options = {
            "frames": frames,
            "scale": request.scale,
            "region": None if request.region is None else list(request.region),
            "layers": request.layers,
            "bits": request.bits,
            "compression": request.compression,
        }
        model = self._model_args(shot)
        if request.out is not None:
            if request.shared:
                raise BadField("`shared` is for pictures, not for files: leave `out` out.", field="shared")
            self._render_files(request, answer, shot, options)
            return
        if len(frames) > schema.MAX_INLINE_FRAMES:
            raise TooLarge(
                f"An answer may bring {schema.MAX_INLINE_FRAMES} frames, {len(frames)} were asked for; "
                f"ask for fewer, or render to files."
            )
        folder = self.daemon.shared.folder() if request.shared else None
        args = {**model, **options, "stack": self.store.stack(shot.name), "shared": folder}
        revision = shot.revision

        def give(result: Message) -> None:
            described = result["frames"]
            self.daemon.shared.gave(
                [one["path"] for one in described if "path" in one],
                [one["bytes"] for one in described if "path" in one],
            )
            answer.give(
                {"frames": described, "revision": revision, "backend": result["backend"]}, result["pictures"]
            )

        self.ask_worker("render", args, answer, give)

    def _render_files(
        self, request: schema.Render, answer: Answer, shot: ShotRecord, options: dict[str, Any]
    ) -> None:
        assert request.out is not None
        options["out"] = self.daemon.roots.admit_pattern(request.out, "the output")
        job = new_job("render", shot, options)

        def change(db: sqlite3.Connection) -> dict[str, Any]:
            self.store.jobs.add(db, job)
            return {"job": job.id}

        reply, now = self.store.answer(answer.request_id, answer.digest, change)
        if now:
            self.daemon.jobs.enqueue(job)
        answer.give(reply)

    def _view_atlas(self, request: schema.ViewAtlas, answer: Answer) -> None:
        shot = self.store.shot(request.shot)
        if request.video_layer not in shot.video_layers:
            raise BadField(
                f"`video_layer` must be one of {', '.join(shot.video_layers)}, got {request.video_layer!r}.",
                field="video_layer",
            )
        args = {
            **self._model_args(shot),
            "video_layer": request.video_layer,
            "with_edits": request.with_edits,
            "long_edge": request.long_edge,
            "frame": None if request.frame is None else self._frames(shot, (request.frame,))[0],
            "stack": self.store.stack(shot.name),
        }
        self.ask_worker("view_atlas", args, answer, lambda result: answer.give({}, result["pictures"]))
