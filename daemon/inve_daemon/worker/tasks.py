"""What the worker can do, each thing as a generator that yields where others may have their turn."""

import contextlib
import functools
import gc
import hashlib
import logging
import math
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from inve_client.errors import (
    Cancelled,
    CheckpointError,
    Interrupted,
    PathRefused,
    StorageError,
    TooLarge,
)
from inve_core.errors import CheckpointError as CoreCheckpointError
from inve_core.errors import MediaError
from inve_core.errors import StorageError as CoreStorageError
from inve_daemon.pipe import Message
from inve_daemon.roots import Roots
from inve_daemon.store.files import ContentFiles
from inve_daemon.worker.core import InveCore
from inve_daemon.worker.rendering import MAX_INLINE_BYTES, FileRendering, render_inline, render_options
from inve_daemon.worker.saving import Saved, Saving, write
from inve_daemon.worker.scheduler import Scheduler, Steps, Task

if TYPE_CHECKING:
    from inve_core.edits import EditStack
    from inve_core.rendering import Rendered, Renderer
    from inve_core.source import ShotSource
    from inve_core.training import Trainer

log = logging.getLogger("inve.worker")

MAX_MODELS = 4
"""Models kept loaded; the least recently used goes first."""
MAX_TEXTURE_BYTES = 1 << 30


@dataclass(frozen=True)
class TrainingPace:
    """When training is saved.

    Attributes:
        first_save_s: learning this long, and a look at how good the result is by then, make the shot
            editable. That checkpoint is the networks alone, which is a third of the size.
        save_every_s: then all that resuming needs is saved this often.
    """

    first_save_s: float = 0.3
    save_every_s: float = 20.0


class Tasks:
    """The worker's tasks and what they share: loaded models.

    Args:
        core: the learning side.
        files: the store's files.
        device: where models live.
        scheduler: for long tasks, to let others have their turn.
        pace: how often training is saved.
    """

    LONG: ClassVar[frozenset[str]] = frozenset({"train", "render_files"})

    def __init__(
        self, core: InveCore, files: ContentFiles, device: str, scheduler: Scheduler, pace: TrainingPace
    ) -> None:
        self._core = core
        self._files = files
        self._device = device
        self._scheduler = scheduler
        self._pace = pace
        self._models: OrderedDict[tuple[str, str], Renderer] = OrderedDict()
        self._stack: tuple[bytes, EditStack] | None = None
        # By shot, the address of what was learned to its end here.
        self._learned: dict[str, str] = {}

    def start(self, op: str, task: Task, args: Message) -> Steps:
        """The generator of an order."""
        body = {
            "open_shot": self._open_shot,
            "store_textures": self._store_textures,
            "train": self._train,
            "render": self._render,
            "render_files": self._render_files,
            "track": self._track,
            "view_atlas": self._view_atlas,
            "forget": self._forget,
        }[op]
        return body(task, args)

    def forget_models(self) -> None:
        """Let go of every loaded model."""
        self._models.clear()

    # Shots

    def _open_shot(self, task: Task, args: Message) -> Steps:
        roots = Roots(args["roots"])
        span = None if args["frame_range"] is None else (args["frame_range"][0], args["frame_range"][1])
        files = self._core.find_files(args["frames"], args["mattes"], span, args["flow"])
        folders = {os.path.dirname(roots.admit_file(path, "the picture")) for path in files}
        yield
        source = self._core.open_source(args["frames"], args["mattes"], span, args["flow"])
        return {
            "source": source.to_dict(),
            "video_layers": list(source.video_layers),
            "folders": sorted(folders),
        }

    def _source(self, args: Message, *, flow: bool = False) -> "ShotSource":
        """The shot's source, once all its files still lie where they were admitted from.

        Args:
            flow: whether its motion vectors are to be there too, which only learning needs.
        """
        roots = Roots(args["folders"])
        for path in self._files_of(args["source"], flow=flow):
            roots.admit_file(path, "the picture")
        return self._core.source(args["source"])

    def _files_of(self, source: dict[str, Any], *, flow: bool) -> list[str]:
        """A shot's plate and mattes, and its motion vectors where wanted."""
        span = (source["frames"][0], source["frames"][-1])
        vectors = source.get("flow_pattern") if flow else None
        return self._core.find_files(source["frames_pattern"], source["matte_patterns"], span, vectors)

    def _forget(self, task: Task, args: Message) -> Steps:
        self._learned.pop(args["shot"], None)
        for key in [key for key in self._models if key[0] == args["shot"]]:
            del self._models[key]
        yield
        return {}

    # Learning

    def _train(self, task: Task, args: Message) -> Steps:
        started = time.monotonic()
        source = self._source(args, flow=True)
        yield
        warnings: list[str] = []
        trainer = self._trainer(task, args, source, warnings)
        try:
            saved = yield from self._learn(task, args, trainer, warnings)
            renderer = self._core.renderer_of(trainer, source, self._files.path)
        finally:
            trainer.release()
        # What is learned is safe, whatever comes of the rest.
        task.tell("checkpoint", address=saved.address, report=finite(saved.report))
        self._bake(task, renderer, warnings)
        # Not before: who paints meanwhile does so on the last checkpoint, whose renderer this one replaces.
        self._learned[args["shot"]] = saved.address
        self._keep(args["shot"], saved.address, renderer)
        total_s = round(time.monotonic() - started, 3)
        return {
            "model": saved.address,
            "report": finite(saved.report),
            "total_s": total_s,
            "warnings": warnings,
        }

    def _learn(
        self, task: Task, args: Message, trainer: "Trainer", warnings: list[str]
    ) -> Generator[None, None, Saved]:
        """Train to the end, saving now and then; returns what was saved last."""
        # A resumed shot is editable, and has a better checkpoint than one without the optimisers' moments.
        editable = args["resume"] is not None
        next_save = time.monotonic() + (self._pace.save_every_s if editable else self._pace.first_save_s)
        saving = Saving(self._files)
        try:
            for progress in trainer.run():
                task.report(
                    progress.stage,
                    iteration=progress.iteration,
                    iterations=progress.iterations,
                    losses=finite({name: float(value) for name, value in progress.losses.items()}),
                    iterations_per_s=finite(progress.iterations_per_s),
                    seconds_left=finite(progress.seconds_left),
                    warnings=warnings,
                )
                self._tell_saved(task, saving, warnings)
                if self._scheduler.stopping:
                    self._tell_saved(task, saving, warnings, wait=True)
                    saving.begin(trainer.snapshot())
                    self._tell_saved(task, saving, warnings, wait=True)
                    self._scheduler.check(task)
                # There are losses to show from the first look on.
                elif time.monotonic() >= next_save and not saving.busy and (editable or progress.losses):
                    saving.begin(trainer.snapshot(moments=editable))
                    editable = True
                    next_save = time.monotonic() + self._pace.save_every_s
                yield
            self._tell_saved(task, saving, warnings, wait=True)
        finally:
            saving.close()
        return write(self._files, trainer.snapshot())

    def _trainer(self, task: Task, args: Message, source: "ShotSource", warnings: list[str]) -> "Trainer":
        def on_progress(stage: str, done: int, total: int) -> None:
            task.report(stage, iteration=done, iterations=total, losses={}, warnings=warnings)
            self._scheduler.breathe(task)

        def make(resume: Path | None) -> "Trainer":
            return self._core.trainer(
                source,
                preset=args["preset"],
                working_size=args["working_size"],
                seed=args["seed"],
                device=self._device,
                resume=resume,
                on_progress=on_progress,
            )

        if args["resume"] is None:
            return make(None)
        try:
            return make(self._files.path(args["resume"]))
        except (CheckpointError, CoreCheckpointError) as error:
            warnings.append(f"Training began anew, its checkpoint cannot be used: {error}")
        # The clip of the trainer that could not be made.
        gc.collect()
        return make(None)

    def _tell_saved(self, task: Task, saving: Saving, warnings: list[str], *, wait: bool = False) -> None:
        """Tell of a checkpoint that was written. A full disk is no reason to lose the training: a warning."""
        try:
            saved = saving.finished(wait=wait)
        except (StorageError, CoreStorageError) as error:
            warnings[:] = [f"The training so far could not be saved: {error}"]
            return
        if saved is not None:
            task.tell("checkpoint", address=saved.address, report=finite(saved.report))

    # Pictures and points

    def _renderer(self, args: Message) -> "Renderer":
        key = (args["shot"], args["model"])
        found = self._models.get(key)
        moved = any(os.path.realpath(folder) != folder for folder in args["folders"])
        # Where a folder has become a link since, the files are looked at again, and refused.
        if found is None or moved:
            source = self._source(args)
            found = self._core.renderer(
                self._files.path(args["model"]), source, self._device, self._files.path
            )
            self._keep(*key, found)
        self._models.move_to_end(key)
        return found

    def _keep(self, shot: str, address: str, renderer: "Renderer") -> None:
        """Keep a model loaded; a newer one of the shot takes the older one's place.

        But for the last one that was learned to its end: an order that was on its way then may still ask for
        the one before.
        """
        for old in [old for old in self._models if old[0] == shot]:
            if old[1] != self._learned.get(shot):
                del self._models[old]
        self._models[shot, address] = renderer
        while len(self._models) > MAX_MODELS:
            self._models.popitem(last=False)

    def _bake(self, task: Task, renderer: "Renderer", warnings: list[str]) -> None:
        """Work out what frames are painted from, where that takes a moment: on a GPU.

        A CPU takes longer for all frames than anyone waits, and works out what an edit touches when it comes.
        """
        if not self._device.startswith("cuda"):
            return
        count = len(renderer.source.frames)

        def on_frame(done: int) -> None:
            task.report("baking", iteration=done, iterations=count, losses={}, warnings=warnings)
            self._scheduler.breathe(task)

        try:
            renderer.bake(on_frame=on_frame)
        except (Cancelled, Interrupted):
            raise
        # The shot is learned; frames that are not baked are worked out when they are asked for.
        except Exception as error:  # noqa: BLE001
            log.warning("baking ended early: %s", error)
            warnings.append(f"Frames could not be baked, the first edit on each will take longer: {error}")
            renderer.fields.clear()

    def _backend(self) -> str:
        name, _ = self._core.backend(self._device)
        return name

    def _edits(self, args: Message) -> "EditStack":
        """The edit stack of an order; the same one again is not decoded again."""
        digest = hashlib.sha256(args["stack"]).digest()
        if self._stack is None or self._stack[0] != digest:
            self._stack = (digest, self._core.stack(args["stack"]))
        return self._stack[1]

    def _render(self, task: Task, args: Message) -> Steps:
        renderer, backend = self._renderer(args), self._backend()
        yield
        answer = yield from render_inline(self._core, self._frame_renderer(renderer, args), args)
        return {**answer, "backend": backend}

    def _frame_renderer(self, renderer: "Renderer", args: Message) -> "Callable[[int], Rendered]":
        """Renders a frame as an order wants it."""
        stack, options = self._edits(args), render_options(args)
        return lambda frame: renderer.render(stack, frame, **options)

    def _render_files(self, task: Task, args: Message) -> Steps:
        roots = Roots(args["roots"])
        targets = {frame: self._core.output_path(args["out"], frame) for frame in args["frames"]}
        pictures = self._files_of(args["source"], flow=False)
        # Motion vectors may be gone by now; those that are there are not to be replaced.
        with contextlib.suppress(MediaError):
            pictures = self._files_of(args["source"], flow=True)
        originals = {os.path.realpath(path) for path in pictures}
        for target in targets.values():
            if roots.admit(str(target), "the output") in originals:
                raise PathRefused(
                    f"The output {str(target)!r} would replace a picture of the shot; choose another --out."
                )
        renderer = self._renderer(args)
        yield

        def write(frame: int, rendered: "Rendered") -> None:
            # The folder may have become a link since; what is written must still lie under the roots.
            roots.admit(str(targets[frame]), "the output")
            self._core.write_exr(targets[frame], rendered, args["bits"], args["compression"])

        ahead = getattr(renderer, "prefetch", None)
        prefetch = None if ahead is None else functools.partial(ahead, scale=args["scale"])
        render = self._frame_renderer(renderer, args)
        rendering = FileRendering(render, prefetch, write, list(targets))
        touched = yield from rendering.run(task, self._scheduler)
        paths = [str(path) for path in targets.values()]
        return {
            "frames": len(paths),
            "touched": touched,
            "first_path": paths[0],
            "last_path": paths[-1],
            "backend": self._backend(),
        }

    def _track(self, task: Task, args: Message) -> Steps:
        renderer = self._renderer(args)
        yield
        return self._core.track(renderer, args["points"], args["frames"])

    def _view_atlas(self, task: Task, args: Message) -> Steps:
        renderer = self._renderer(args)
        yield
        stack = self._edits(args) if args["with_edits"] else None
        picture = renderer.atlas(args["video_layer"], stack, args["long_edge"], args["frame"])
        exr = self._core.exr_bytes(picture, (), 32, "zip")
        if len(exr) > MAX_INLINE_BYTES:
            raise TooLarge(
                f"The atlas came to more than {MAX_INLINE_BYTES >> 20} MiB; ask for a smaller long_edge."
            )
        return {"pictures": [exr]}

    def _store_textures(self, task: Task, args: Message) -> Steps:
        roots = Roots(args["roots"])
        addresses = {}
        for path in args["images"]:
            real = roots.admit_file(path, "the texture")
            self._core.check_texture(Path(real))
            addresses[path] = self._files.put_file(real, MAX_TEXTURE_BYTES)
            yield
        return {"addresses": addresses}


def finite(value: Any) -> Any:
    """Plain data with null in the place of numbers that are not finite, which JSON does not have."""
    if isinstance(value, dict):
        return {str(key): finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [finite(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
