"""The synchronous client: one method for each thing that a person or a plugin asks of the daemon."""

from __future__ import annotations

import hashlib
import os
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Mapping, Optional, Sequence, Union

from . import sharing, transport
from .connection import Connection, expect
from .endpoints import Endpoint, default_endpoint, parse
from .errors import BadMessage
from .version import PROTOCOL, VERSION
from .watching import EventStream, OnProgress, follow_job

Json = Mapping[str, Any]
QUICK_S = 10.0
"""Time for what the daemon answers at once."""
WORK_S = 300.0
"""Time for what the worker has to read, load or render first, and for large stacks of edits."""


@dataclass(frozen=True)
class RenderedFrame:
    """One rendered frame: `exr` is a whole EXR file; `touched` counts the pixels that edits changed.

    Where daemon and client share a machine `exr` is a view of memory that the daemon filled, else bytes. Both
    can be written to a file, sliced and compared alike; `bytes(frame.exr)` copies it.
    """

    frame: int
    exr: Union[bytes, memoryview]
    touched: int


@dataclass(frozen=True)
class StoredTexture:
    """A texture's file as the daemon keeps it; `suffix` is that of its name, with the dot, or ""."""

    address: str
    content: bytes
    suffix: str


class Client:
    """A connection to a daemon; made cheaply, connected with the first request.

    One object may be used by several threads, one request at a time. Every method raises a class of
    `inve_client.errors`. Where a method takes `request_id`, the same id with the same arguments may be sent
    again, also after a crash, and gets the same answer without being done twice.

    Args:
        endpoint: the daemon's address; the default daemon's by default.
        name: who is asking, for the daemon's log.
    """

    def __init__(self, endpoint: Union[str, Endpoint, None] = None, *, name: str = "inve_client") -> None:
        if endpoint is None:
            endpoint = default_endpoint()
        self.endpoint = parse(endpoint) if isinstance(endpoint, str) else endpoint
        self.name = name
        self._connection = Connection(self.endpoint, transport.RequestSocket)
        self._events_endpoint: Optional[Endpoint] = None
        self._can_share = os.name == "posix"

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connection."""
        self._connection.close()

    @property
    def session(self) -> str:
        """The daemon's session as of the last answer; another one means that it was restarted."""
        return self._connection.session

    def ask(
        self, kind: str, *, timeout_s: float = QUICK_S, request_id: Optional[str] = None, **fields: Any
    ) -> dict[str, Any]:
        """Send any request of SPEC.md and return its result."""
        return dict(self._connection.request(kind, fields, timeout_s=timeout_s, request_id=request_id).result)

    # The daemon

    def hello(self, *, timeout_s: float = QUICK_S) -> dict[str, Any]:
        """Who the daemon is: its `version`, `protocol`, `session`, `events` address and `device`."""
        said = self.ask("hello", timeout_s=timeout_s, client=self.name, version=VERSION, protocol=PROTOCOL)
        self._events_endpoint = parse(expect(said, "events", str))
        return said

    def status(self, *, timeout_s: float = QUICK_S) -> dict[str, Any]:
        """How the daemon is: its store, worker, jobs and shots in numbers."""
        return self.ask("status", timeout_s=timeout_s)

    def shutdown(self) -> dict[str, Any]:
        """Ask the daemon to end; training is saved and goes on with the next `serve`."""
        return self.ask("shutdown")

    def events(self) -> EventStream:
        """A stream of the daemon's events, to be closed by the caller; belongs to one thread."""
        if self._events_endpoint is None:
            self.hello()
        assert self._events_endpoint is not None
        return EventStream(transport.EventSocket(self._events_endpoint))

    # Shots

    def open_shot(
        self,
        shot: str,
        frames: str,
        mattes: Sequence[str] = (),
        frame_range: Optional[tuple[int, int]] = None,
        *,
        flow: Optional[str] = None,
        request_id: Optional[str] = None,
    ) -> dict[str, Any]:
        """Make a shot known under a name; headers of all its files are read.

        Args:
            shot: `[A-Za-z0-9._-]{1,64}`.
            frames: absolute pattern of the plate, on the daemon's machine and under its roots.
            mattes: an absolute pattern for each foreground layer, front to back.
            frame_range: first and last frame.
            flow: an absolute pattern of motion vectors (EXR), to learn from in the place of computed flow.

        Returns:
            The shot's description, as from `describe_shot`.
        """
        return self.ask(
            "open_shot",
            timeout_s=WORK_S,
            request_id=request_id,
            shot=shot,
            frames=frames,
            mattes=list(mattes),
            frame_range=None if frame_range is None else list(frame_range),
            # A daemon of before there was such a field refuses what it does not know.
            **({} if flow is None else {"flow": flow}),
        )

    def list_shots(self) -> list[dict[str, Any]]:
        """Every shot of the store."""
        return list(expect(self.ask("list_shots"), "shots", list))

    def describe_shot(self, shot: str, *, with_edits: bool = False) -> dict[str, Any]:
        """One shot: frames, size, video layers, model, its edits' `revision`, and `stack` if asked for."""
        timeout_s = WORK_S if with_edits else QUICK_S
        return self.ask("describe_shot", timeout_s=timeout_s, shot=shot, with_edits=with_edits)

    def close_shot(self, shot: str) -> dict[str, Any]:
        """Drop the shot from the worker's memory; everything stored stays."""
        return self.ask("close_shot", shot=shot)

    def delete_shot(self, shot: str, *, request_id: Optional[str] = None) -> dict[str, Any]:
        """Forget a shot with its model, edits and jobs; its pictures are left alone."""
        return self.ask("delete_shot", shot=shot, request_id=request_id)

    # Jobs

    def train(
        self,
        shot: str,
        *,
        preset: str = "fast",
        working_size: Optional[int] = None,
        seed: int = 0,
        request_id: Optional[str] = None,
    ) -> str:
        """Start learning a shot and return the job's id at once; `wait_job` follows it."""
        started = self.ask(
            "train", request_id=request_id, shot=shot, preset=preset, working_size=working_size, seed=seed
        )
        return str(expect(started, "job", str))

    def wait_job(
        self, job: str, *, on_progress: Optional[OnProgress] = None, timeout_s: Optional[float] = None
    ) -> dict[str, Any]:
        """Follow a job to its end and return its `result`; see `watching.follow_job` for what it raises."""
        with closing(self.events()) as events:
            ended = follow_job(job, self.describe_job, events, on_progress, timeout_s)
        return dict(expect(ended, "result", dict))

    def describe_job(self, job: str) -> dict[str, Any]:
        """One job: `state`, progress, and its `result` or `error` once it has ended."""
        return self.ask("describe_job", job=job)

    def list_jobs(self) -> list[dict[str, Any]]:
        """The newest jobs of the store, newest first."""
        return list(expect(self.ask("list_jobs"), "jobs", list))

    def cancel(self, job: str) -> dict[str, Any]:
        """Ask a job to end; returns its state (an ended job stays as it is)."""
        return self.ask("cancel", job=job)

    # Edits

    def put_edits(
        self,
        shot: str,
        stack: Json,
        *,
        base_revision: Optional[int] = None,
        request_id: Optional[str] = None,
    ) -> dict[str, Any]:
        """Replace a shot's whole edit stack.

        Args:
            shot: which shot.
            stack: as in EDITS.json; texture images are absolute paths under the daemon's roots, or
                "sha256:..." as the daemon has given back.
            base_revision: refuse where the edits are not at this revision; None replaces whatever is there.

        Returns:
            `revision`, and `ids` of all edits in the stack's order.
        """
        return self.ask(
            "put_edits",
            timeout_s=WORK_S,
            request_id=request_id,
            shot=shot,
            stack=stack,
            base_revision=base_revision,
        )

    def patch_edits(
        self,
        shot: str,
        base_revision: int,
        *,
        layers: Sequence[Json] = (),
        edits: Sequence[Json] = (),
        request_id: Optional[str] = None,
    ) -> dict[str, Any]:
        """Add, change or move single layers and edits: layers first, then edits, each in order.

        Args:
            shot: which shot.
            base_revision: the revision that the caller has seen.
            layers: `{"name", "kind", "blend", "opacity", "enabled", "solo", "video_layer", "rename",
                "position"}`; a new name makes a layer (with `kind`), a known one changes what is given.
                `position` counts from the bottom; without it a new layer comes on top.
            edits: `{"layer": name, "edit": {...}, "position"}`; an edit with a known `id` replaces that one,
                also in another layer of its kind, any other is added. `{"layer", "id", "position"}` moves
                one as it is. `position` counts from the bottom of the layer; without it an edit comes on
                top, and one that stays in its layer stays where it is.

        Returns:
            `revision`, and `ids` of the given edits in order.

        Raises:
            StaleRevision: someone changed the edits meanwhile; `details["revision"]` is the current one.
        """
        return self.ask(
            "patch_edits",
            timeout_s=WORK_S,
            request_id=request_id,
            shot=shot,
            base_revision=base_revision,
            layers=list(layers),
            edits=list(edits),
        )

    def remove_edits(
        self,
        shot: str,
        base_revision: int,
        *,
        edits: Sequence[str] = (),
        layers: Sequence[str] = (),
        request_id: Optional[str] = None,
    ) -> dict[str, Any]:
        """Remove edits by their ids and layers by their names; returns the new `revision`."""
        return self.ask(
            "remove_edits",
            timeout_s=WORK_S,
            request_id=request_id,
            shot=shot,
            base_revision=base_revision,
            edits=list(edits),
            layers=list(layers),
        )

    def copy_edits(
        self,
        shot: str,
        to: str,
        *,
        frame_offset: int = 0,
        base_revision: Optional[int] = None,
        request_id: Optional[str] = None,
    ) -> dict[str, Any]:
        """Replace the whole edit stack of the shot `to` by that of `shot`; `undo` there takes it back.

        Args:
            shot: whose edits.
            to: which shot gets them; all of them must fit its size, frames and video layers.
            frame_offset: added to the frame number of each edit.
            base_revision: refuse where the edits of `to` are not at this revision.

        Returns:
            `revision` of `to`, and `ids` of all edits in the stack's order, which are those of `shot`.
        """
        return self.ask(
            "copy_edits",
            timeout_s=WORK_S,
            request_id=request_id,
            shot=shot,
            to=to,
            frame_offset=frame_offset,
            base_revision=base_revision,
        )

    def get_texture(self, address: str) -> StoredTexture:
        """The file of a texture that the daemon has stored.

        Args:
            address: "sha256:...", as the daemon gives it as a texture's `image`.

        Raises:
            BadMessage: what came is not the content of that address.
        """
        content = bytearray()
        while True:
            fields = {"address": address, "offset": len(content)}
            reply = self._connection.request("get_texture", fields, timeout_s=QUICK_S)
            total = expect(reply.result, "bytes", int)
            if len(reply.attachments) != 1:
                raise BadMessage(f"A texture must come as one attachment, got {len(reply.attachments)}.")
            content += reply.attachments[0]
            if len(content) >= total or not reply.attachments[0]:
                break
        digest = hashlib.sha256(content).hexdigest()
        if address != f"sha256:{digest}":
            raise BadMessage(f"The texture {address} came with other content, sha256:{digest}; try again.")
        return StoredTexture(address, bytes(content), expect(reply.result, "suffix", str))

    def undo(
        self, shot: str, *, base_revision: Optional[int] = None, request_id: Optional[str] = None
    ) -> dict[str, Any]:
        """Take back the last change of the edits, whoever made it; returns the new `revision`."""
        return self.ask("undo", request_id=request_id, shot=shot, base_revision=base_revision)

    def redo(
        self, shot: str, *, base_revision: Optional[int] = None, request_id: Optional[str] = None
    ) -> dict[str, Any]:
        """Bring back what `undo` took; returns the new `revision`."""
        return self.ask("redo", request_id=request_id, shot=shot, base_revision=base_revision)

    # Pictures and points

    def track(
        self, shot: str, points: Sequence[Json], frames: Optional[Sequence[int]] = None
    ) -> dict[str, Any]:
        """Where points of one frame are on the others.

        Args:
            shot: which shot.
            points: `{"id", "frame", "x", "y", "video_layer"}` in pixels of the source, origin top left.
            frames: on which frames; all by default.

        Returns:
            TRACKS.json: `frames`, and `tracks` with `id`, `x`, `y`, `visible`, `confidence`.
        """
        return self.ask(
            "track",
            timeout_s=WORK_S,
            shot=shot,
            points=list(points),
            frames=None if frames is None else list(frames),
        )

    def render(
        self,
        shot: str,
        frames: Sequence[int],
        *,
        scale: float = 1.0,
        region: Optional[tuple[int, int, int, int]] = None,
        layers: bool = False,
        bits: Optional[int] = None,
        compression: Optional[str] = None,
        shared: Optional[bool] = None,
    ) -> list[RenderedFrame]:
        """Edited frames, as EXR in memory.

        Args:
            shot: which shot.
            frames: at most 64 of the shot's frames, and 256 MiB of EXR in all.
            scale: 1 is the plate's size.
            region: x, y, width, height in pixels of the result; all of it by default.
            layers: also one part per edit layer and per video layer's matte and uv.
            bits: 16 or 32; the plate's own by default.
            compression: "zip" or "none", which is much faster to make and to read; by default "none" over
                ipc, where pictures stay on the machine, and "zip" over tcp, which may be a tunnel.
            shared: ask for pictures in shared memory, which saves several copies of them; by default over
                ipc.
        """
        local = self.endpoint.transport == "ipc"
        fields = {
            **_render_fields(shot, frames, scale, region, layers, bits),
            "compression": compression or ("none" if local else "zip"),
            "out": None,
        }
        if (local and self._can_share) if shared is None else shared:
            found = self._render(fields, shared=True)
            if found is not None:
                return found
            # As in a container of its own, which has another shared memory.
            self._can_share = False
        answered = self._render(fields, shared=False)
        assert answered is not None
        return answered

    def _render(self, fields: Json, *, shared: bool) -> Optional[list[RenderedFrame]]:
        """Frames inline; None where they are in a shared memory that is not ours."""
        reply = self._connection.request("render", {**fields, "shared": shared}, timeout_s=WORK_S)
        described = expect(reply.result, "frames", list)
        by_path = [isinstance(one, dict) and "path" in one for one in described]
        if len(described) - sum(by_path) != len(reply.attachments):
            raise BadMessage(
                f"A render of {len(described)} frames, {sum(by_path)} of them in shared memory, must bring a "
                f"picture for each other one, got {len(reply.attachments)}."
            )
        attachments = iter(reply.attachments)
        try:
            return [
                RenderedFrame(
                    expect(one, "frame", int),
                    sharing.fetch(expect(one, "path", str)) if in_memory else next(attachments),
                    expect(one, "touched", int),
                )
                for one, in_memory in zip(described, by_path)
            ]
        except OSError:
            if not shared:
                raise
            return None

    def render_to(
        self,
        shot: str,
        out: str,
        frames: Optional[Sequence[int]] = None,
        *,
        scale: float = 1.0,
        region: Optional[tuple[int, int, int, int]] = None,
        layers: bool = False,
        bits: Optional[int] = None,
        compression: str = "zip",
        request_id: Optional[str] = None,
    ) -> str:
        """Start rendering EXR files to an absolute pattern under the daemon's roots; returns the job's id."""
        fields = _render_fields(shot, frames, scale, region, layers, bits)
        started = self.ask("render", request_id=request_id, **fields, compression=compression, out=out)
        return str(expect(started, "job", str))

    def view_atlas(
        self,
        shot: str,
        video_layer: str,
        *,
        with_edits: bool = False,
        long_edge: int = 512,
        frame: int | None = None,
    ) -> bytes:
        """The atlas of a video layer as one EXR, its longer side `long_edge` pixels.

        With `frame` only what is seen in that frame is opaque; the rest is there at a quarter of its alpha.
        """
        fields: dict[str, Any] = {
            "shot": shot,
            "video_layer": video_layer,
            "with_edits": with_edits,
            "long_edge": long_edge,
        }
        if frame is not None:
            fields["frame"] = frame
        reply = self._connection.request("view_atlas", fields, timeout_s=WORK_S)
        if len(reply.attachments) != 1:
            raise BadMessage(f"An atlas view must bring one picture, got {len(reply.attachments)}.")
        return reply.attachments[0]


def _render_fields(
    shot: str,
    frames: Optional[Sequence[int]],
    scale: float,
    region: Optional[tuple[int, int, int, int]],
    layers: bool,
    bits: Optional[int],
) -> dict[str, Any]:
    return {
        "shot": shot,
        "frames": None if frames is None else list(frames),
        "scale": scale,
        "region": None if region is None else list(region),
        "layers": layers,
        "bits": bits,
    }
