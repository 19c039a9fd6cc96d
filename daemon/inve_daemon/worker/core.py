"""The learning side as the worker uses it: one narrow place with every import of inve_core's heavy half."""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from inve_core.edit_reading import StackReader
    from inve_core.edits import EditStack
    from inve_core.media.exr import Compression, Part
    from inve_core.media.pictures import Picture
    from inve_core.rendering import Rendered, Renderer
    from inve_core.source import ShotSource
    from inve_core.training import Trainer

OnClipProgress = Callable[[str, int, int], None]


class InveCore:
    """Everything that tasks ask of inve_core. Making one costs nothing; each method imports what it needs.

    Tests put a subclass in its place that learns nothing.
    """

    def __init__(self) -> None:
        self._warming = threading.Lock()
        self._warm: set[str] = set()
        self._stacks: StackReader | None = None

    def device(self, name: str) -> tuple[str, str]:
        """The device that a name stands for, and what a person calls it.

        Raises:
            inve_core.errors.DeviceError: it is not there.
        """
        from inve_core.devices import describe_device, resolve_device

        device = resolve_device(name)
        return device, describe_device(device)

    def import_all(self) -> None:
        """Import what the first orders would otherwise wait for."""
        import inve_core.clip
        import inve_core.rendering
        import inve_core.tracking
        import inve_core.training  # noqa: F401

    def backend(self, device: str) -> tuple[str, list[str]]:
        """What networks run on, and why what is faster was passed over.

        The first call for a GPU compiles and checks what training and rendering use there, which takes
        seconds. May be called from any thread; whoever needs to know meanwhile waits.

        Raises:
            inve_core.errors.DeviceError: one was asked for that does not work there.
        """
        from inve_core.encodings.backends import grid_backend, passed_over
        from inve_core.warm_up import warm_up

        with self._warming:
            if device not in self._warm:
                warm_up(device)
                self._warm.add(device)
        return grid_backend(device).name, passed_over(device)

    def find_files(
        self, frames: str, mattes: Sequence[str], frame_range: tuple[int, int] | None, flow: str | None
    ) -> list[str]:
        """Every file that opening such a source would read; none of them is opened."""
        from inve_core.media.sequences import find_sequence, present_files

        plate = find_sequence(frames, frame_range)
        first, last = plate.frames[0], plate.frames[-1]
        paths = list(plate.paths)
        for pattern in (*mattes, *([] if flow is None else [flow])):
            present = present_files(pattern)
            inside = [path for frame, path in present.items() if first <= frame <= last]
            # A movie's path stands at each of its frames, also where the shot has none of them.
            paths += dict.fromkeys(inside or present.values())
        return paths

    def open_source(
        self, frames: str, mattes: Sequence[str], frame_range: tuple[int, int] | None, flow: str | None
    ) -> "ShotSource":
        """A shot's pictures, after reading the headers of all their files."""
        from inve_core.source import open_source

        return open_source(frames, mattes, frame_range, flow)

    def source(self, values: dict[str, Any]) -> "ShotSource":
        """A source from its plain data."""
        from inve_core.source import ShotSource

        return ShotSource.from_dict(values)

    def trainer(
        self,
        source: "ShotSource",
        *,
        preset: str,
        working_size: int | None,
        seed: int,
        device: str,
        resume: Path | None,
        on_progress: OnClipProgress,
    ) -> "Trainer":
        """Read the clip, which takes a while and calls `on_progress`, and make its trainer."""
        from inve_core.clip import load_clip
        from inve_core.presets import PRESETS
        from inve_core.training import Trainer, with_working_size

        settings = with_working_size(PRESETS[preset], working_size)
        clip = load_clip(source, settings.working_size, settings.longest_gap, on_progress, device)
        return Trainer(clip, settings, device=device, seed=seed, resume=resume)

    def renderer(
        self, folder: Path, source: "ShotSource", device: str, texture_path: Callable[[str], Path]
    ) -> "Renderer":
        """A model, loaded and ready to render."""
        from inve_core.checkpoint import load_model
        from inve_core.rendering import Renderer

        return Renderer(load_model(folder, device), source, texture_path)

    def renderer_of(
        self, trainer: "Trainer", source: "ShotSource", texture_path: Callable[[str], Path]
    ) -> "Renderer":
        """What a trainer has learned, ready to render; the trainer cannot go on."""
        from inve_core.rendering import Renderer

        # Its clip makes room for what is baked.
        trainer.release()
        return Renderer(trainer.model.eval(), source, texture_path)

    def track(
        self, renderer: "Renderer", points: list[dict[str, Any]], frames: list[int] | None
    ) -> dict[str, Any]:
        """TRACKS.json of points as in POINTS.json."""
        from inve_core.points import parse_points
        from inve_core.tracking import track_points

        return track_points(renderer.model, parse_points({"points": points}), frames).to_builtins()

    def stack(self, data: bytes) -> "EditStack":
        """An edit stack from JSON; b"" is the empty one. Edits of the last one are the same objects again."""
        from inve_core.edit_reading import StackReader
        from inve_core.edits import EditStack

        if self._stacks is None:
            self._stacks = StackReader()
        return self._stacks.read(data) if data else EditStack()

    def check_texture(self, path: Path) -> None:
        """Read a texture once, to be sure that it can be read.

        Raises:
            inve_core.errors.MediaError: it cannot.
        """
        from inve_core.media.pictures import read_texture

        read_texture(path)

    def exr_bytes(
        self, picture: "Picture", parts: "Sequence[Part]", bits: int | None, compression: "Compression"
    ) -> bytes:
        """A picture with its parts as an EXR file in memory."""
        from inve_core.media.exr import exr_bytes

        return exr_bytes(picture, bits=bits, parts=parts, compression=compression)

    def write_exr(
        self,
        path: Path,
        rendered: "Rendered",
        bits: int | None,
        compression: "Compression",
        *,
        synced: bool = True,
    ) -> None:
        """Write a rendered frame with its parts; the file appears whole or not at all."""
        from inve_core.media.exr import write_exr

        write_exr(
            path,
            rendered.picture,
            bits=bits,
            parts=rendered.parts,
            compression=compression,
            synced=synced,
        )

    def output_path(self, pattern: str, frame: int) -> Path:
        """The file to write a frame to."""
        from inve_core.media.sequences import output_path

        return output_path(pattern, frame)
