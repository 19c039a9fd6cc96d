"""Random sequences of changes of edits against the model of `stack_model`, on the real answers and store."""

from __future__ import annotations

import collections
import random
import sqlite3
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgpack
import msgspec
import pytest
from daemon_support import write_picture
from stack_model import SETTINGS, ModelShot, Plain, Refused

from inve_client.codec import MAX_REQUEST_BYTES
from inve_client.errors import CallError
from inve_core.edits import EditStack
from inve_core.errors import EditError
from inve_daemon import editing
from inve_daemon.answers.base import Answer
from inve_daemon.answers.edits import EditAnswers
from inve_daemon.schema import EditPatch, LayerPatch, decode_request
from inve_daemon.store import Store

SEQUENCES = 10_000
MAX_STEPS = 14
REOPENED_EVERY = 200
"""Sequences between those in which the store is closed and opened again."""
VIDEO_LAYERS = ("foreground", "background")
FRAMES = {"one": range(1, 5), "two": range(3, 7)}
KINDS = {"sketch": "stroke", "texture": "texture", "adjustment": "adjustment"}


class Bench:
    """A store and the answers over it, with no socket and no worker."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.open()
        write_picture(folder / "logo.png", 4, 4)
        self.texture = self.store.files.put_file(str(folder / "logo.png"), 1 << 20)
        self.keep_texture()

    def open(self) -> None:
        self.store = Store(self.folder / "store")
        # What a power cut would lose is another test's matter.
        with self.store._db.reading() as db:
            db.execute("PRAGMA synchronous = OFF")
        publisher = SimpleNamespace(shot=lambda *told: None)
        self.answers = EditAnswers(SimpleNamespace(store=self.store, publisher=publisher))
        self.handlers = self.answers.handlers()

    def keep_texture(self) -> None:
        """Let one state of a shot name the texture, which can only be come to by a redo."""
        self.add_shot("keeper", range(1, 2))
        edit = {"type": "texture", "image": self.texture, "frame": 1, "x": 1, "y": 1, "width": 1, "height": 1}
        layer = {"name": "sign", "kind": "texture", "edits": [edit]}
        self.ask("put_edits", {"shot": "keeper", "stack": {"layers": [layer]}})
        self.ask("undo", {"shot": "keeper"})

    def reopen(self) -> None:
        self.store.close()
        self.open()

    def change(self, do: Any) -> None:
        def change(db: sqlite3.Connection) -> dict[str, Any]:
            do(db)
            return {}

        self.store.answer(uuid.uuid4().hex, b"", change)

    def add_shot(self, name: str, frames: range) -> None:
        """A shot without edits, in the place of what it was."""
        source = {"frames": list(frames), "width": 20, "height": 10}
        self.change(lambda db: self.store.delete_shot(db, name))
        self.change(lambda db: self.store.add_shot(db, name, source, VIDEO_LAYERS, []))

    def ask(self, kind: str, fields: Plain) -> Plain:
        """Answer a request as if it had come over the wire."""
        got: list[Any] = []

        def send(result: Any, attachments: list[bytes], error: BaseException | None) -> None:
            got.append(result if error is None else error)

        request = decode_request(
            msgpack.packb({"kind": kind, "id": uuid.uuid4().hex, **fields}), MAX_REQUEST_BYTES
        )
        self.handlers[type(request)](request, Answer(request.id, b"digest", send))
        (answer,) = got
        if isinstance(answer, BaseException):
            raise answer
        return dict(answer)

    def refuses(self, kind: str, fields: Plain) -> bool:
        """Whether a request is answered by an error that tells the client what was wrong."""
        try:
            self.ask(kind, fields)
        except (CallError, EditError):
            return True
        return False

    def all_edits(self) -> dict[str, tuple[int, bytes]]:
        """Revision and stack of both shots, as stored."""
        return {name: (self.store.shot(name).revision, self.store.stack(name)) for name in FRAMES}


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    one = Bench(tmp_path)
    yield one
    one.store.close()


class Chooser:
    """Makes up requests, most of them such as can be done."""

    def __init__(self, seed: int, texture: str) -> None:
        self.random = random.Random(seed)
        self.texture = texture
        self.shot_first = self.chance(0.5)

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def shots(self, names: list[str]) -> list[str]:
        """Which shot is worked on, mostly the one from before, and the other."""
        if self.chance(0.2):
            self.shot_first = not self.shot_first
        return names if self.shot_first else names[::-1]

    def edit(self, kind: str, ids: list[str]) -> Plain:
        """An edit for the model; `width` tells one from another."""
        chance = self.random.random()
        one = None if chance < 0.4 else f"e{self.random.randrange(12)}"
        if ids and chance > 0.7:
            one = self.random.choice(ids)
        frame = self.random.choice((3, 4)) if self.chance(0.97) else 2
        return {"kind": kind, "frame": frame, "width": float(self.random.randint(1, 999)), "id": one}

    def kind(self) -> str:
        return self.random.choice(("sketch", "sketch", "adjustment", "texture"))

    def settings(self) -> Plain:
        choices: Plain = {
            "blend": ("over", "over", "over", "add"),
            "opacity": (0.0, 0.25, 1.0),
            "enabled": (True, False),
            "solo": (True, False),
            "video_layer": ("auto", "foreground", "background", "foreground", "background", "middle"),
        }
        return {name: self.random.choice(values) for name, values in choices.items() if self.chance(0.2)}

    def layers(self) -> list[Plain]:
        """A whole stack for `put_edits`."""
        made = []
        names = self.random.sample("abcd", self.random.randint(0, 3))
        if names and self.chance(0.03):
            names.append(names[0])
        for name in names:
            kind = self.kind()
            edits = [self.edit(kind, []) for _ in range(self.random.randint(0, 3))]
            one = f"l{self.random.randrange(12)}" if self.chance(0.5) else None
            made.append({"name": name, "kind": kind, "id": one, "edits": edits, **self.settings()})
        return made

    def position(self, count: int) -> Plain:
        if not self.chance(0.4):
            return {}
        return {"position": self.random.randint(0, count - 1 if count and self.chance(0.9) else count + 1)}

    def layer_patch(self, layers: list[Plain]) -> Plain:
        known = [layer["name"] for layer in layers]
        name = self.random.choice(known) if known and self.chance(0.6) else self.random.choice("abcde")
        patch: Plain = {"name": name, **self.settings(), **self.position(len(layers))}
        if name not in known and self.chance(0.9):
            patch["kind"] = self.kind()
        if name in known and self.chance(0.2):
            patch["rename"] = self.random.choice("abcdef")
        return patch

    def edit_patch(self, layers: list[Plain], added: list[Plain]) -> Plain:
        known = [*((layer["name"], layer["kind"], len(layer["edits"])) for layer in layers)]
        known += [(patch["name"], patch["kind"], 0) for patch in added if "kind" in patch]
        name, kind, count = self.random.choice(known) if known else ("a", "sketch", 0)
        ids = [edit["id"] for layer in layers for edit in layer["edits"] if edit["kind"] == kind]
        patch: Plain = {"layer": name if self.chance(0.97) else "z", **self.position(count)}
        if ids and self.chance(0.4):
            return {**patch, "id": self.random.choice(ids) if self.chance(0.95) else "nothing"}
        other = self.kind() if self.chance(0.03) else kind
        return {**patch, "edit": self.edit(other, ids)}

    def wire_edit(self, edit: Plain) -> Plain:
        """The edit as EDITS.json has it."""
        plain: Plain = {"type": KINDS[edit["kind"]], "frame": edit["frame"], "width": edit["width"]}
        if edit["id"] is not None:
            plain["id"] = edit["id"]
        if edit["kind"] == "texture":
            return {**plain, "image": self.texture, "x": 1.0, "y": 2.0, "height": 5.0}
        line = {**plain, "points": [[1.0, 2.0], [3.0, 4.0]]}
        return {**line, "color": [1, 0, 0, 1]} if edit["kind"] == "sketch" else line

    def wire_layer(self, layer: Plain) -> Plain:
        """The layer as EDITS.json has it."""
        plain = {**layer, "edits": [self.wire_edit(edit) for edit in layer["edits"]]}
        if plain["id"] is None:
            del plain["id"]
        return plain

    def wire_patch(self, patch: Plain) -> Plain:
        """The patch of an edit as SPEC.md has it."""
        return {**patch, "edit": self.wire_edit(patch["edit"])} if "edit" in patch else patch


def step(chooser: Chooser, models: dict[str, ModelShot], revisions: dict[str, int]) -> tuple[str, Plain, Any]:
    """A random request: its kind, its fields, and what it does to the model."""
    kinds = ("put_edits", "patch_edits", "remove_edits", "undo", "redo", "copy_edits")
    (kind,) = chooser.random.choices(kinds, (12, 45, 10, 16, 10, 8))
    shot, other = chooser.shots(sorted(models))
    model = models[shot]
    undone = len(model.states) - 1 - model.at
    if undone and chooser.chance(0.4):
        kind = chooser.random.choice(("undo", "redo"))
    elif model.cut and chooser.chance(0.2):
        kind = "redo"
    changed = other if kind == "copy_edits" else shot
    fields: Plain = {"shot": shot, "base_revision": revisions[changed]}
    if chooser.chance(0.03):
        fields["base_revision"] -= 1
    elif kind not in ("patch_edits", "remove_edits") and chooser.chance(0.5):
        fields["base_revision"] = None
    if kind == "put_edits":
        layers = chooser.layers()
        fields["stack"] = {"layers": [chooser.wire_layer(layer) for layer in layers]}
        return kind, fields, lambda: model.put(layers)
    if kind == "patch_edits":
        patches = [chooser.layer_patch(model.layers) for _ in range(chooser.random.choice((0, 0, 1, 1, 2)))]
        edits = [
            chooser.edit_patch(model.layers, patches) for _ in range(chooser.random.choice((0, 1, 1, 2, 3)))
        ]
        fields |= {"layers": patches, "edits": [chooser.wire_patch(patch) for patch in edits]}
        return kind, fields, lambda: model.patch(patches, edits)
    if kind == "remove_edits":
        names = [layer["name"] for layer in model.layers if chooser.chance(0.2)]
        ids = [edit["id"] for layer in model.layers for edit in layer["edits"] if chooser.chance(0.3)]
        if chooser.chance(0.05):
            (names if chooser.chance(0.5) else ids).append("nothing")
        fields |= {"layers": names, "edits": ids}
        return kind, fields, lambda: model.remove(ids, names)
    if kind == "copy_edits":
        fields |= {"to": other, "frame_offset": chooser.random.choice((0, 0, 0, 0, 2, -2, 9))}
        return kind, fields, lambda: models[other].copy_from(model, fields["frame_offset"])
    return kind, fields, lambda: model.step(-1 if kind == "undo" else +1)


def compare(stack: EditStack, layers: list[Plain]) -> None:
    """Hold the daemon's stack against the model's, which takes over the ids that the daemon has given."""
    assert len(stack.layers) == len(layers)
    for layer, wanted in zip(stack.layers, layers, strict=True):
        wanted["id"] = wanted["id"] or layer.id
        assert (layer.name, layer.kind, layer.id) == (wanted["name"], wanted["kind"], wanted["id"])
        for name in SETTINGS:
            assert getattr(layer, name) == wanted[name]
        assert len(layer.edits) == len(wanted["edits"])
        for edit, one in zip(layer.edits, wanted["edits"], strict=True):
            one["id"] = one["id"] or edit.id
            assert (edit.frame, edit.width, edit.id) == (one["frame"], one["width"], one["id"])
    ids = [item.id for layer in stack.layers for item in (layer, *layer.edits)]
    assert None not in ids
    assert len(set(ids)) == len(ids)


def run_sequence(bench: Bench, seed: int, seen: collections.Counter[tuple[str, bool]]) -> None:
    """One sequence on two fresh shots; `seen` counts what was done and what was refused."""
    for name, frames in FRAMES.items():
        bench.add_shot(name, frames)
    chooser = Chooser(seed, bench.texture)
    models = {name: ModelShot(frames, VIDEO_LAYERS) for name, frames in FRAMES.items()}
    found = bench.all_edits()
    steps = chooser.random.randint(1, MAX_STEPS)
    reopened_at = chooser.random.randrange(steps) if seed % REOPENED_EVERY == 0 else None
    for number in range(steps):
        if number == reopened_at:
            bench.reopen()
        kind, fields, do = step(chooser, models, {name: revision for name, (revision, _) in found.items()})
        changed = fields["to"] if kind == "copy_edits" else fields["shot"]
        possible = fields["base_revision"] in (None, found[changed][0])
        at = models[changed].at
        if possible:
            try:
                do()
            except Refused:
                possible = False
        seen[kind, possible] += 1
        model = models[changed]
        if kind == "redo" and model.cut > 1 and model.at == len(model.states) - 1:
            seen["redo of what was cut off", False] += 1
        before = found
        if not possible:
            assert bench.refuses(kind, fields), f"{kind} {fields} was done"
            found = bench.all_edits()
            assert found == before
            continue
        reply = bench.ask(kind, fields)
        found = bench.all_edits()
        assert reply["revision"] == found[changed][0]
        if model.at == at:
            seen["nothing", True] += 1
            assert found == before
        else:
            assert found[changed][0] > max(revision for revision, _ in before.values())
        for name in models.keys() - {changed}:
            assert found[name] == before[name]
        stack = editing.decode(found[changed][1])
        compare(stack, models[changed].layers)
        if kind in ("put_edits", "copy_edits"):
            assert reply["ids"] == editing.ids_of(stack)
        if kind == "patch_edits":
            assert len(reply["ids"]) == len(fields["edits"])
            assert set(reply["ids"]) <= set(editing.ids_of(stack))


@pytest.mark.slow
def test_random_sequences_do_what_the_model_does(bench: Bench) -> None:
    seen: collections.Counter[tuple[str, bool]] = collections.Counter()
    for seed in range(SEQUENCES):
        try:
            run_sequence(bench, seed, seen)
        except Exception as error:
            raise AssertionError(f"sequence {seed} went another way: {error}") from error
    # A model that refuses everything would agree with a daemon that does.
    for kind in ("put_edits", "patch_edits", "remove_edits", "undo", "redo", "copy_edits"):
        assert min(seen[kind, True], seen[kind, False]) > SEQUENCES / 100, seen
    assert seen["redo of what was cut off", False] > SEQUENCES / 500
    assert seen["nothing", True] > SEQUENCES / 100


# Patches that touch different things


def commuting_case(seed: int) -> tuple[EditStack, list[tuple[list[LayerPatch], list[EditPatch]]]]:
    """A stack, and two patches of which each touches layers and edits of its own, and adds some."""
    chooser = Chooser(seed, "sha256:" + "0" * 64)
    rand = chooser.random
    layers = []
    for name in "abcdef"[: rand.randint(2, 6)]:
        edits = [chooser.edit("sketch", []) | {"id": f"{name}{n}"} for n in range(rand.randint(0, 4))]
        layers.append(chooser.wire_layer({"name": name, "kind": "sketch", "id": f"l{name}", "edits": edits}))
    stack = msgspec.convert({"layers": layers}, EditStack)
    patches = []
    for whose in (0, 1):
        own = [layer for number, layer in enumerate(layers) if number % 2 == whose]
        settings = [{"name": layer["name"], **chooser.settings()} for layer in own if chooser.chance(0.5)]
        if chooser.chance(0.3):
            settings.append({"name": f"new{whose}", "kind": "sketch", **chooser.settings()})
        changes: list[Plain] = []
        for layer in own:
            for edit in layer["edits"]:
                if chooser.chance(0.4):
                    brought = {"id": edit["id"]} if chooser.chance(0.3) else {"edit": {**edit, "width": 7.0}}
                    changes.append({"layer": rand.choice(own)["name"], **brought})
        for layer in layers:
            # Both may add to the same layer.
            if chooser.chance(0.3):
                made = {**chooser.edit("sketch", []), "id": f"{layer['name']}-added-by-{whose}"}
                changes.append({"layer": layer["name"], "edit": chooser.wire_edit(made)})
        patches.append(
            (msgspec.convert(settings, list[LayerPatch]), msgspec.convert(changes, list[EditPatch]))
        )
    return stack, patches


def without_order_of_the_added(stack: EditStack) -> list[Any]:
    """The stack with what was added apart, in an order of its own."""
    layers = []
    for layer in stack.layers:
        old = [edit for edit in layer.edits if "added" not in str(edit.id)]
        new = sorted((edit for edit in layer.edits if "added" in str(edit.id)), key=lambda edit: str(edit.id))
        layers.append(msgspec.structs.replace(layer, edits=(*old, *new)))
    kept = [layer for layer in layers if "new" not in layer.name]
    return kept + sorted((layer for layer in layers if "new" in layer.name), key=lambda layer: layer.name)


def test_patches_of_different_things_can_come_in_any_order() -> None:
    changed = 0
    for seed in range(2_000):
        stack, (first, second) = commuting_case(seed)
        one = editing.patched(editing.patched(stack, *first)[0], *second)[0]
        other = editing.patched(editing.patched(stack, *second)[0], *first)[0]
        assert without_order_of_the_added(one) == without_order_of_the_added(other), seed
        changed += one != stack
    assert changed > 1_500
