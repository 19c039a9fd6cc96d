"""Stacks read one after the other, against `parse_stack` of each."""

import json
import re
from typing import Any

import pytest
from edit_strategies import stacks
from hypothesis import given, settings
from hypothesis import strategies as st

from inve_core.edit_reading import StackReader
from inve_core.edits import EditStack, parse_stack, stack_to_builtins
from inve_core.errors import EditError


def encoded(stack: EditStack) -> dict[str, Any]:
    return json.loads(json.dumps(stack_to_builtins(stack)))


def refused(text: bytes) -> str | None:
    """What `parse_stack` has against a document."""
    try:
        parse_stack(text)
    except EditError as error:
        return str(error)
    return None


@settings(max_examples=150, deadline=None)
@given(st.lists(stacks(100, 80, 1, "a.png"), min_size=1, max_size=3), st.data())
def test_it_reads_what_parse_stack_does(some: list[EditStack], data: st.DataObject) -> None:
    """Stacks, the same again, with edits taken out, put twice and moved, and with something wrong."""
    reader = StackReader()
    for stack in [*some, *some]:
        document = encoded(stack)
        layers = document["layers"]
        change = data.draw(
            st.sampled_from(["none", "cut", "twice", "swap", "kind", "field", "version", "id"])
        )
        if layers:
            layer = layers[0]
            if change == "cut":
                layer["edits"] = layer["edits"][1:]
            elif change == "twice":
                layer["edits"] = layer["edits"] * 2
            elif change == "swap":
                layers.reverse()
            elif change == "kind":
                layer["kind"] = "texture"
            elif change == "field" and layer["edits"]:
                layer["edits"][-1]["frame"] = "x"
            elif change == "id":
                layer["id"] = "same"
                layers[-1]["id"] = "same"
        if change == "version":
            document["version"] = 9
        text = json.dumps(document).encode()
        refusal = refused(text)
        if refusal is None:
            assert reader.read(text) == parse_stack(text)
        else:
            with pytest.raises(EditError, match=re.escape(refusal)):
                reader.read(text)


def test_what_stays_is_the_same_object() -> None:
    strokes = [
        {"type": "stroke", "frame": 1, "points": [[n, 2]], "width": 3, "color": [1, 0, 0, 1]}
        for n in range(5)
    ]
    layer = {"name": "a", "kind": "sketch", "edits": strokes[:4]}
    reader = StackReader()
    first = reader.read(json.dumps({"layers": [layer]}).encode())
    layer["edits"] = [strokes[4], *strokes[1:4]]
    second = reader.read(json.dumps({"layers": [layer]}).encode())
    assert all(a is b for a, b in zip(first.layers[0].edits[1:], second.layers[0].edits[1:], strict=True))
    # In a layer that edits are held against in another way they are checked anew.
    layer["video_layer"] = "background"
    third = reader.read(json.dumps({"layers": [layer]}).encode())
    assert third.layers[0].edits == second.layers[0].edits
    assert third.layers[0].edits[0] is not second.layers[0].edits[0]


@pytest.mark.parametrize("text", [b"", b"[", b"null", b'{"layers": 3}', b'{"layers": [], "x": 1}', b"\xff"])
def test_what_is_no_stack_is_refused_as_ever(text: bytes) -> None:
    refusal = refused(text)
    assert refusal is not None
    with pytest.raises(EditError, match=re.escape(refusal)):
        StackReader().read(text)
