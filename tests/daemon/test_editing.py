"""Changes of an edit stack as functions: patches, moves, removals, copies."""

from __future__ import annotations

import time
from typing import Any

import msgspec
import pytest
from daemon_support import sketch, stroke
from hypothesis import given
from hypothesis import strategies as st

from inve_client import errors
from inve_core.edits import EditLayer, EditStack, Stroke, parse_stack
from inve_core.errors import EditError as CoreEditError
from inve_daemon import editing, ordering
from inve_daemon.keeping import StackKeeper
from inve_daemon.schema import EditPatch, LayerPatch


def stack_of(*edits: dict[str, Any]) -> EditStack:
    return parse_stack(sketch(*edits))


def as_edit(plain: dict[str, Any]) -> Stroke:
    return msgspec.convert(plain, Stroke)


def test_a_patch_adds_replaces_and_keeps_order() -> None:
    stack = stack_of(stroke(id="a"), stroke(id="b"))
    patch = [
        EditPatch(layer="paint", edit=as_edit(stroke(x=7.0, id="a"))),
        EditPatch(layer="top", edit=as_edit(stroke(x=8.0))),
    ]
    got, ids = editing.patched(stack, [LayerPatch(name="top", kind="sketch", opacity=0.5)], patch)
    assert [layer.name for layer in got.layers] == ["paint", "top"]
    assert [edit.id for edit in got.layers[0].edits] == ["a", "b"]
    assert got.layers[0].edits[0].points[0][0] == 7.0
    assert (got.layers[1].opacity, ids[0]) == (0.5, "a")
    assert editing.ids_of(got) == ["a", "b", ids[1]]


def test_a_layer_s_settings_change_without_its_edits() -> None:
    got, _ = editing.patched(stack_of(stroke(id="a")), [LayerPatch(name="paint", enabled=False)], [])
    assert (got.layers[0].enabled, editing.ids_of(got)) == (False, ["a"])


@pytest.mark.parametrize(
    ("layers", "edits", "words"),
    [
        ([], [("nowhere", {})], "'nowhere'"),
        ([LayerPatch(name="new")], [], "`kind`"),
        ([LayerPatch(name="new", kind="sketch", rename="x")], [], "no layer 'new' to rename"),
        ([LayerPatch(name="b", rename="paint")], [], "another layer is called already"),
        (
            [LayerPatch(name="paint", position=3)],
            [],
            r"`layers\[0\].position` must be 0 to 2 in the stack, got 3",
        ),
        ([LayerPatch(name="n", kind="sketch", position=4)], [], "must be 0 to 3 in the stack, got 4"),
        (
            [],
            [("paint", {"id": "a", "position": 1})],
            r"`edits\[0\].position` must be 0 to 0 in layer 'paint'",
        ),
        ([], [("paint", {"position": 2})], "must be 0 to 1 in layer 'paint', got 2"),
        ([], [("b", {"id": "a", "position": 1})], "must be 0 to 0 in layer 'b', got 1"),
    ],
)
def test_a_patch_that_does_not_fit(
    layers: list[LayerPatch], edits: list[tuple[str, Any]], words: str
) -> None:
    patches = []
    for name, fields in edits:
        edit = stroke(**{key: value for key, value in fields.items() if key != "position"})
        patches.append(EditPatch(layer=name, edit=as_edit(edit), position=fields.get("position")))
    others = [{"name": name, "kind": "sketch"} for name in "bc"]
    stack = parse_stack({"layers": [*sketch(stroke(id="a"))["layers"], *others]})
    with pytest.raises(errors.EditError, match=words):
        editing.patched(stack, layers, patches)


@pytest.mark.parametrize(
    ("patch", "words"),
    [
        ({}, "got neither"),
        ({"id": "a", "edit": stroke()}, "got both"),
        ({"id": "z"}, r"`edits\[0\].id` is 'z', which no edit of the stack has"),
    ],
)
def test_a_patch_names_an_edit_or_brings_one(patch: dict[str, Any], words: str) -> None:
    one = msgspec.convert({"layer": "paint", **patch}, EditPatch)
    with pytest.raises(errors.EditError, match=words):
        editing.patched(stack_of(stroke(id="a")), [], [one])


def named(stack: EditStack) -> dict[str, str]:
    """The edits' ids by layer, both from the bottom."""
    return {layer.name: "".join(str(edit.id) for edit in layer.edits) for layer in stack.layers}


def test_edits_move_within_and_between_layers() -> None:
    layers = [
        {"name": "one", "kind": "sketch", "edits": [stroke(id=name) for name in "abc"]},
        {"name": "two", "kind": "sketch", "edits": [stroke(id=name) for name in "xy"]},
        {"name": "grade", "kind": "adjustment"},
    ]
    stack = parse_stack({"layers": layers})

    def moved(*patches: dict[str, Any]) -> dict[str, str]:
        wanted = [msgspec.convert(patch, EditPatch) for patch in patches]
        return named(editing.patched(stack, [], wanted)[0])

    assert moved({"layer": "one", "id": "a", "position": 2}) == {"one": "bca", "two": "xy", "grade": ""}
    assert moved({"layer": "one", "id": "c", "position": 0}) == {"one": "cab", "two": "xy", "grade": ""}
    assert moved({"layer": "one", "id": "b"}) == {"one": "abc", "two": "xy", "grade": ""}
    assert moved({"layer": "two", "id": "b"}) == {"one": "ac", "two": "xyb", "grade": ""}
    assert moved({"layer": "two", "id": "b", "position": 1}) == {"one": "ac", "two": "xby", "grade": ""}
    assert moved({"layer": "two", "edit": stroke(id="n"), "position": 0})["two"] == "nxy"
    replaced = msgspec.convert({"layer": "two", "edit": stroke(x=9.0, id="a"), "position": 1}, EditPatch)
    got, ids = editing.patched(stack, [], [replaced])
    assert (named(got), ids) == ({"one": "bc", "two": "xay", "grade": ""}, ["a"])
    assert got.layers[1].edits[1].points[0][0] == 9.0  # type: ignore[union-attr]
    # Each as the stack stands by then.
    both = moved({"layer": "two", "id": "a", "position": 0}, {"layer": "two", "id": "x", "position": 0})
    assert both == {"one": "bc", "two": "xay", "grade": ""}
    wrong, _ = editing.patched(stack, [], [msgspec.convert({"layer": "grade", "id": "a"}, EditPatch)])
    with pytest.raises(CoreEditError, match="must be 'adjustment' in an adjustment layer, got 'stroke'"):
        StackKeeper().checked(wrong)


_MOVES = st.builds(
    EditPatch,
    layer=st.sampled_from(("one", "two")),
    id=st.sampled_from([f"e{number}" for number in range(12)]),
    position=st.none() | st.integers(0, 12),
)


@given(st.integers(0, 12), st.lists(_MOVES, max_size=20))
def test_moves_are_those_in_a_plain_list(split: int, moves: list[EditPatch]) -> None:
    edits = tuple(as_edit(stroke(id=f"e{number}")) for number in range(12))
    layers = (
        EditLayer("one", "sketch", edits=edits[:split]),
        EditLayer("two", "sketch", edits=edits[split:]),
    )

    def moved() -> EditStack | str:
        try:
            return editing.patched(EditStack(layers=layers), [], moves)[0]
        except errors.EditError as error:
            return error.message

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ordering, "_BLOCK", 2)
        quick = moved()
        patch.setattr(editing, "Order", list)
        assert quick == moved()


def test_many_moves_among_many_edits_take_no_square_of_time() -> None:
    edit = as_edit(stroke())
    edits = tuple(msgspec.structs.replace(edit, id=f"e{number}") for number in range(80_000))
    stack = EditStack(layers=(EditLayer("paint", "sketch", edits=edits),))
    moves = [EditPatch(layer="paint", id=f"e{number}", position=0) for number in range(70_000, 80_000)]
    started = time.perf_counter()
    got, ids = editing.patched(stack, [], moves)
    # A second where the search for each took twelve.
    assert time.perf_counter() - started < 3.0
    assert [edit.id for edit in got.layers[0].edits[:10_000]] == ids[::-1]
    assert got.layers[0].edits[10_000:] == edits[:70_000]


def test_layers_move_and_take_other_names() -> None:
    stack = parse_stack({"layers": [{"name": name, "kind": "sketch"} for name in "abc"]})

    def patched(*patches: LayerPatch) -> str:
        return "".join(layer.name for layer in editing.patched(stack, patches, [])[0].layers)

    assert patched(LayerPatch(name="a", position=2)) == "bca"
    assert patched(LayerPatch(name="c", position=0)) == "cab"
    assert patched(LayerPatch(name="n", kind="texture", position=1)) == "anbc"
    assert patched(LayerPatch(name="b", rename="z")) == "azc"
    assert patched(LayerPatch(name="b", rename="b")) == "abc"
    # Each as the stack stands by then, so that two can change names by way of a third.
    swap = [
        LayerPatch(name="a", rename="t"),
        LayerPatch(name="b", rename="a"),
        LayerPatch(name="t", rename="b"),
    ]
    assert patched(*swap) == "bac"
    got, _ = editing.patched(stack, [LayerPatch(name="a", solo=True, video_layer="foreground")], [])
    assert (got.layers[0].solo, got.layers[0].video_layer) == (True, "foreground")


def test_a_shifted_stack_keeps_all_but_its_frames() -> None:
    stack = stack_of(stroke(1001), stroke(1003))
    got = editing.shifted(stack, -1000)
    assert [edit.frame for edit in got.layers[0].edits] == [1, 3]
    assert editing.shifted(got, 1000) == stack


def test_removing() -> None:
    stack = stack_of(stroke(id="a"), stroke(id="b"))
    assert editing.ids_of(editing.without(stack, ["a"], [])) == ["b"]
    assert editing.without(stack, [], ["paint"]).layers == ()
    for edits, layers in ((["z"], []), ([], ["z"])):
        with pytest.raises(errors.EditError, match="'z'"):
            editing.without(stack, edits, layers)


@pytest.mark.parametrize(
    ("message", "wanted"),
    [
        # Edits that the patch brings, the last of those with one id, and others.
        ("`layers[1].edits[0].width` must be 1.", "`edits[1].edit.width` must be 1."),
        ("`layers[1].edits[0]` is at (1, 1).", "`edits[1].edit` is at (1, 1)."),
        ("`layers[0].edits[0].type` x.", "`layers[0].edits[0].type` in the stack after the patch x."),
        ("`layers[1].edits[1].type` x.", "`layers[1].edits[1].type` in the stack after the patch x."),
        # Layers that it makes, names and changes, in fields that it gives and others.
        ("`layers[2].kind` x.", "`layers[1].kind` x."),
        ("`layers[2].name` x.", "`layers[1].name` x."),
        ("`layers[1].name` x.", "`layers[0].rename` x."),
        ("`layers[1].blend` x.", "`layers[0].blend` x."),
        ("`layers[1].kind` x.", "`layers[1].kind` in the stack after the patch x."),
        ("`layers[0].blend` x.", "`layers[0].blend` in the stack after the patch x."),
        # Two at once, and none.
        (
            "`layers[1].edits[0].id` is 'a', which `layers[2]` has already.",
            "`edits[1].edit.id` is 'a', which `layers[1]` has already.",
        ),
        ("`layers` hold more than 3.", "`layers` hold more than 3."),
    ],
)
def test_a_refused_patch_is_told_of_in_its_own_fields(message: str, wanted: str) -> None:
    layers = [
        {"name": "paint", "kind": "sketch", "edits": [stroke(id="p")]},
        {"name": "ink", "kind": "sketch", "edits": [stroke(id="a"), stroke(id="m")]},
        {"name": "new", "kind": "sketch"},
    ]
    settings = [LayerPatch(name="was", rename="ink", blend="add"), LayerPatch(name="new", kind="sketch")]
    bring = EditPatch(layer="ink", edit=as_edit(stroke(id="a")))
    edits = [bring, bring, EditPatch(layer="ink", id="m")]
    stack = parse_stack({"layers": layers})
    assert editing.said_of_patch(message, stack, settings, edits, ["a", "a", "m"]) == wanted
