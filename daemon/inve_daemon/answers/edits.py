"""Requests that change a shot's edits, each against a revision, and for the textures that they name."""

import os
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inve_client.errors import BadField
from inve_core.edits import EditStack
from inve_core.errors import EditError
from inve_daemon import editing, schema
from inve_daemon.answers.base import Answer, Daemon, Group, Handlers, picture_of
from inve_daemon.keeping import StackKeeper
from inve_daemon.store import ShotRecord, expect_revision


@dataclass(frozen=True)
class Change:
    """What a request makes of a shot's edits.

    Attributes:
        stack: the new stack.
        ids: what to answer with; None: all of the stack's.
        said: turns what is wrong with the stack, with its paths, into words of the request.
    """

    stack: EditStack
    ids: list[str] | None
    said: Callable[[str], str] = str


@dataclass(frozen=True)
class _Checked:
    """A change that fits its shot: the new stack, as it is kept, and the addresses of its textures."""

    stack: EditStack
    data: bytes
    ids: list[str]
    textures: set[str]


Make = Callable[[dict[str, str]], Change]
"""From addresses of images named by path to the change."""
MAX_TEXTURE_PART_BYTES = 8 << 20
"""Most of a texture's file that one answer brings: so little that reading it holds nobody up."""


class EditAnswers(Group):
    """put_edits, patch_edits, remove_edits, copy_edits, undo, redo, get_texture."""

    def __init__(self, daemon: Daemon) -> None:
        super().__init__(daemon)
        # The last stack that was made, by its revision, which no other state of any shot has: decoding
        # 10,000 strokes takes longer than adding one.
        self._latest: tuple[int, EditStack] | None = None
        self._keeper = StackKeeper()

    def _current(self, shot: str) -> EditStack:
        revision = self.store.shot(shot).revision
        if self._latest is not None and self._latest[0] == revision:
            return self._latest[1]
        return editing.decode(self.store.stack(shot))

    def handlers(self) -> Handlers:
        """What answers which request."""
        return {
            schema.PutEdits: self._put_edits,
            schema.PatchEdits: self._patch_edits,
            schema.RemoveEdits: self._remove_edits,
            schema.CopyEdits: self._copy_edits,
            schema.Undo: self._undo,
            schema.Redo: self._redo,
            schema.GetTexture: self._get_texture,
        }

    def _put_edits(self, request: schema.PutEdits, answer: Answer) -> None:
        def make(images: dict[str, str]) -> Change:
            return Change(editing.with_images(request.stack, images), None)

        self._change_edits(request.shot, request.base_revision, answer, make)

    def _patch_edits(self, request: schema.PatchEdits, answer: Answer) -> None:
        layers, edits = request.layers, request.edits

        def make(images: dict[str, str]) -> Change:
            stack, ids = editing.patched(self._current(request.shot), layers, edits)

            def said(message: str) -> str:
                return editing.said_of_patch(message, stack, layers, edits, ids)

            return Change(editing.with_images(stack, images), ids, said)

        self._change_edits(request.shot, request.base_revision, answer, make)

    def _remove_edits(self, request: schema.RemoveEdits, answer: Answer) -> None:
        def make(images: dict[str, str]) -> Change:
            return Change(editing.without(self._current(request.shot), request.edits, request.layers), [])

        self._change_edits(request.shot, request.base_revision, answer, make)

    def _copy_edits(self, request: schema.CopyEdits, answer: Answer) -> None:
        copied = editing.shifted(self._current(request.shot), request.frame_offset)
        self._change_edits(request.to, request.base_revision, answer, lambda images: Change(copied, None))

    def _change_edits(self, name: str, base_revision: int | None, answer: Answer, make: Make) -> None:
        """Check a shot's new stack, store the textures that it names by path, and make it the current one.

        Args:
            make: the change, given addresses for the images named by path.
        """
        shot = self.store.shot(name)
        expect_revision(name, shot.revision, base_revision)
        first = self._checked(shot, make({}))
        paths = [image for image in editing.images_of(first.stack) if not image.startswith("sha256:")]
        real = {path: self.daemon.roots.admit(path, "the texture") for path in paths}

        def commit(images: dict[str, str]) -> None:
            new = first
            if images:
                # Others may have changed the edits while the worker stored the textures.
                now = self.store.shot(name)
                expect_revision(name, now.revision, base_revision)
                new = self._checked(now, make(images))
            before = self.store.shot(name).revision

            def change(db: sqlite3.Connection) -> dict[str, Any]:
                revision = self.store.push_stack(db, name, base_revision, new.data, new.textures)
                return {"revision": revision, "ids": new.ids}

            reply, done = self.store.answer(answer.request_id, answer.digest, change)
            if done:
                self._latest = (reply["revision"], new.stack)
            if done and reply["revision"] != before:
                self.store.drop_unnamed()
                self.daemon.publisher.shot(name, "edits", reply["revision"])
            answer.give(reply)

        if not paths:
            commit({})
            return
        args = {"images": list(real.values()), "roots": list(self.daemon.roots.folders)}
        self.ask_worker(
            "store_textures",
            args,
            answer,
            lambda result: commit({path: result["addresses"][real[path]] for path in paths}),
            ended=self.store.release_files,
        )
        # The worker copies no texture that is there already: it must not be dropped before it is named.
        self.store.hold_files()

    def _checked(self, shot: ShotRecord, change: Change) -> _Checked:
        try:
            stack, data = self._keeper.checked(change.stack, picture_of(shot))
            images = editing.images_of(stack)
            textures = {image for image in images if image.startswith("sha256:")}
            for address in textures:
                if self._find_texture(address) is None:
                    raise EditError(
                        f"`{images[address]}` is {address!r}, which is not in the daemon's store; "
                        "name its file there."
                    )
        except EditError as error:
            raise EditError(change.said(str(error))) from error
        ids = editing.ids_of(stack) if change.ids is None else change.ids
        return _Checked(stack, data, ids, textures)

    def _find_texture(self, address: str) -> Path | None:
        """Where a stored texture lies; of what is addressed in the store, only textures are single files."""
        path = self.store.files.find(address)
        return path if path is not None and path.is_file() else None

    def _get_texture(self, request: schema.GetTexture, answer: Answer) -> None:
        path = self._find_texture(request.address)
        if path is None:
            raise EditError(
                f"The texture {request.address!r} is not in the daemon's store; "
                "put an edit that names its file."
            )
        with open(path, "rb") as file:
            total = os.fstat(file.fileno()).st_size
            if request.offset > total:
                raise BadField(
                    f"`offset` must be within the texture's {total} bytes, got {request.offset}; "
                    "begin with 0 and go on from what came.",
                    field="offset",
                )
            file.seek(request.offset)
            part = file.read(MAX_TEXTURE_PART_BYTES)
        answer.give({"bytes": total, "suffix": path.suffix}, [part])

    def _undo(self, request: schema.Undo, answer: Answer) -> None:
        self._step(request, answer, -1)

    def _redo(self, request: schema.Redo, answer: Answer) -> None:
        self._step(request, answer, +1)

    def _step(self, request: schema.Undo | schema.Redo, answer: Answer, direction: int) -> None:
        self.store.shot(request.shot)

        def change(db: sqlite3.Connection) -> dict[str, Any]:
            return {"revision": self.store.step(db, request.shot, request.base_revision, direction)}

        reply, changed = self.store.answer(answer.request_id, answer.digest, change)
        if changed:
            self.daemon.publisher.shot(request.shot, "edits", reply["revision"])
        answer.give(reply)
