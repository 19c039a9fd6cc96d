"""Stacks on their way into the store, one after the other and each by itself."""

import re
from collections.abc import Iterable
from typing import Any

import msgspec
import pytest
from daemon_support import sketch, stroke
from hypothesis import given, settings
from hypothesis import strategies as st

from inve_client import errors
from inve_core.edits import EditStack, check_stack, parse_stack, stack_to_builtins
from inve_core.errors import EditError
from inve_daemon import editing, keeping
from inve_daemon.keeping import StackKeeper
from inve_daemon.schema import EditPatch, LayerPatch

PICTURE: dict[str, Any] = {
    "width": 100,
    "height": 80,
    "frames": range(1001, 1004),
    "video_layers": ("foreground", "background"),
}


def stack_of(*edits: dict[str, Any]) -> EditStack:
    return parse_stack(sketch(*edits))


def checked(stack: EditStack) -> tuple[EditStack, bytes]:
    return StackKeeper().checked(stack)


def test_a_stack_that_could_not_be_got_back_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    short = stack_of(stroke(id="a"))
    # Whole numbers are longer as msgpack, others as JSON.
    assert len(checked(short)[1]) < 400
    monkeypatch.setattr(keeping, "MAX_STACK_BYTES", 1000)
    checked(short)
    for x in (1.0, 1.0123456789012345):
        with pytest.raises(errors.TooLarge, match=r"these come to 0\.0 MiB; use fewer points"):
            checked(stack_of(stroke(id="a", points=[[x, x]] * 50)))


@pytest.mark.parametrize(("fields", "version"), [({}, 1), ({"smooth": True}, 2)])
def test_the_store_has_the_lowest_version_that_can_say_it(fields: dict[str, Any], version: int) -> None:
    kept = msgspec.json.decode(checked(stack_of(stroke(**fields)))[1])
    assert kept["version"] == version
    assert ("smooth" in kept["layers"][0]["edits"][0]) == (version == 2)


def test_a_stack_from_the_store_is_the_stack() -> None:
    stack, kept = checked(stack_of(stroke(), stroke()))
    assert editing.decode(kept) == stack
    assert None not in editing.ids_of(stack)
    assert editing.decode(b"") == EditStack()
    assert checked(EditStack()) == (EditStack(), b"")


def an_edit(kind: str, frame: int, smooth: bool, opacity: float) -> dict[str, Any]:
    if kind == "adjustment":
        graded = {**stroke(frame), "type": "adjustment", "hue": 10.0, "opacity": opacity}
        del graded["color"]
        return graded
    return stroke(frame, smooth=smooth)


KINDS = ("sketch", "adjustment")
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["add", "replace", "remove", "move", "layer", "rename", "blend", "far", "twice"]),
        st.integers(0, 5),
        st.integers(1001, 1003),
        st.booleans(),
        st.sampled_from([0.5, 1.0]),
    ),
    min_size=1,
    max_size=12,
)


def stepped(stack: EditStack, step: tuple[str, int, int, bool, float]) -> EditStack:
    """A stack after a step, or as it was where the step has nothing to work on."""
    what, number, frame, smooth, opacity = step
    if what == "layer" or not stack.layers:
        name, kind = f"layer {len(stack.layers)} {number}", KINDS[number % 2]
        if any(layer.name == name for layer in stack.layers):
            return stack
        return editing.patched(stack, [LayerPatch(name=name, kind=kind)], [])[0]
    layer = stack.layers[number % len(stack.layers)]
    ids = editing.ids_of(stack)
    if what in ("rename", "blend"):
        blend = "over" if layer.kind == "adjustment" else ("over", "add", "screen")[number % 3]
        patch = LayerPatch(name=layer.name, rename=f"{layer.name}.") if what == "rename" else None
        return editing.patched(stack, [patch or LayerPatch(name=layer.name, blend=blend)], [])[0]
    plain = an_edit("adjustment" if layer.kind == "adjustment" else "stroke", frame, smooth, opacity)
    if what in ("replace", "twice") and ids:
        plain["id"] = ids[number % len(ids)]
    if what == "far":
        plain["points"] = [[1000.0, 10.0]]
    (edit,) = parse_stack({"layers": [{"name": "x", "kind": layer.kind, "edits": [plain]}]}).layers[0].edits
    if what == "twice":
        both = msgspec.structs.replace(layer, edits=(*layer.edits, edit))
        return EditStack(layers=tuple(both if one is layer else one for one in stack.layers))
    if what == "remove":
        return editing.without(stack, ids[number % len(ids) :][:1], []) if ids else stack
    if what == "move":
        item = EditPatch(layer=layer.name, id=ids[number % len(ids)], position=0) if ids else None
        return editing.patched(stack, [], [item])[0] if item else stack
    return editing.patched(stack, [], [EditPatch(layer=layer.name, edit=edit)])[0]


def refused(stack: EditStack) -> str | None:
    """What is wrong with a stack by itself."""
    try:
        check_stack(parse_stack(stack_to_builtins(stack)), **PICTURE)
    except EditError as error:
        return str(error)
    return None


def without_ids(edits: Iterable[Any]) -> list[Any]:
    return [msgspec.structs.replace(edit, id=None) for edit in edits]


@settings(max_examples=400, deadline=None)
@given(STEPS)
def test_what_is_kept_is_what_a_keeper_without_a_memory_keeps(steps: list[Any]) -> None:
    keeper, stack = StackKeeper(), EditStack()
    for step in steps:
        wanted = stepped(stack, step)
        refusal = refused(wanted)
        if refusal is not None:
            with pytest.raises(EditError, match=re.escape(refusal)):
                keeper.checked(wanted, PICTURE)
            continue
        got, data = keeper.checked(wanted, PICTURE)
        assert [without_ids(layer.edits) for layer in got.layers] == [
            without_ids(layer.edits) for layer in wanted.layers
        ]
        assert (got, data) == StackKeeper().checked(got, PICTURE)
        assert editing.decode(data) == got
        if got.layers:
            assert msgspec.json.decode(data)["version"] == stack_to_builtins(got)["version"]
        stack = got


def test_another_shot_is_another_picture() -> None:
    keeper, stack = StackKeeper(), stack_of(stroke(1001, points=[[90.0, 10.0]]))
    stack, _ = keeper.checked(stack, PICTURE)
    assert keeper.checked(stack, PICTURE)[0] == stack
    with pytest.raises(EditError, match="outside the 50x80 picture"):
        keeper.checked(stack, {**PICTURE, "width": 50})


def test_only_what_is_new_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    real = keeping.parse_stack

    def counting(document: dict[str, Any]) -> EditStack:
        seen.append(sum(len(layer["edits"]) for layer in document["layers"]))
        return real(document)

    monkeypatch.setattr(keeping, "parse_stack", counting)
    keeper = StackKeeper()
    stack, _ = keeper.checked(stack_of(*[stroke() for _ in range(9)]))
    more = EditPatch(layer="paint", edit=stack_of(stroke()).layers[0].edits[0])
    keeper.checked(editing.patched(stack, [], [more])[0])
    assert seen == [9, 1]
