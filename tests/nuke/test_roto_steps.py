"""Sending a node's paint again: only what differs, and nothing of others."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from test_roto import SETTINGS, brush, golden, strokes

from inve_client.plugin.document import EditDocument
from inve_client.plugin.steps import Layer, Step, apply
from inve_nuke.roto import EditLayer, prefix_of
from inve_nuke.roto_steps import steps

OWNER = SETTINGS.owner
PREFIX = prefix_of(OWNER)


def edit(name: str, width: float = 4.0, **fields: Any) -> dict[str, Any]:
    return {
        "id": PREFIX + name,
        "type": "stroke",
        "frame": 1001,
        "points": [[1, 2]],
        "width": width,
        **fields,
    }


def layer(name: str, *edits: dict[str, Any], kind: str = "sketch") -> EditLayer:
    return EditLayer(name, kind, edits)


def done(layers: tuple[Layer, ...], made: tuple[Step, ...]) -> tuple[Layer, ...]:
    for step in made:
        layers = apply(layers, step)
    return layers


def shown(layers: tuple[Layer, ...]) -> list[tuple[str, list[str]]]:
    return [(one["name"], [edit["id"].removeprefix(PREFIX) for edit in one["edits"]]) for one in layers]


def sent(layers: tuple[Layer, ...], *wanted: EditLayer) -> tuple[Layer, ...]:
    return done(layers, steps(layers, wanted, OWNER))


def test_all_of_it_is_one_request_at_first_and_none_the_second_time() -> None:
    wanted = golden("layers").layers
    made = steps((), wanted, OWNER)
    assert [step.kind for step in made] == ["patch_edits"]
    layers = done((), made)
    assert [(one["name"], list(one["edits"])) for one in layers] == [
        (one.name, list(one.edits)) for one in wanted
    ]
    assert steps(layers, wanted, OWNER) == ()


def test_what_the_daemon_gives_back_is_no_difference() -> None:
    wanted = golden("strokes_hexadecimal").layers
    layers = json.loads(json.dumps(done((), steps((), wanted, OWNER))))
    for one in layers[0]["edits"]:
        one |= {"video_layer": "auto", "closed": False, "points": tuple(map(tuple, one["points"]))}
        one.setdefault("hardness", 1.0)
        one.pop("smooth", None) if one.get("smooth") is False else None
    assert steps(layers, wanted, OWNER) == ()


def test_one_changed_stroke_is_one_patch() -> None:
    layers = sent((), *strokes(*[brush(name=f"B{k}") for k in range(50)]).layers)
    changed = [brush("bs 9" if k == 7 else "", name=f"B{k}") for k in range(50)]
    (step,) = steps(layers, strokes(*changed).layers, OWNER)
    assert (len(step.edits), step.layers, step.edits[0]["edit"]["width"]) == (1, (), 9.0)


def test_a_deleted_stroke_is_removed_and_others_edits_stay() -> None:
    foreign = {"id": "blender-1", "type": "stroke", "frame": 1001, "points": [[1, 2]], "width": 4}
    layers = sent((), layer("paint", edit("a"), edit("b")))
    layers = ({**layers[0], "edits": [*layers[0]["edits"], foreign]},)
    made = steps(layers, [layer("paint", edit("b"))], OWNER)
    assert [step.kind for step in made] == ["remove_edits"]
    assert shown(done(layers, made)) == [("paint", ["b", "blender-1"])]


def test_another_nodes_edits_are_not_removed() -> None:
    layers = sent((), layer("paint", edit("a")))
    made = steps(layers, golden("shapes", owner="node-2").layers, "node-2")
    assert [step.kind for step in made] == ["patch_edits"]
    assert "a" in dict(shown(done(layers, made)))["paint"]


def test_a_layer_is_known_again_whatever_it_is_called_by_now() -> None:
    layers = sent((), layer("paint", edit("a"), edit("b")))
    renamed = ({**layers[0], "name": "Freckles", "opacity": 0.5},)
    after = sent(renamed, layer("paint", edit("a"), edit("b"), edit("c")))
    assert shown(after) == [("Freckles", ["a", "b", "c"])]
    assert after[0]["opacity"] == 0.5


def test_a_name_that_another_kind_has_gets_a_number() -> None:
    taken: tuple[Layer, ...] = ({"name": "paint", "kind": "texture", "edits": []},)
    assert shown(sent(taken, layer("paint", edit("a")))) == [("paint", []), ("paint.001", ["a"])]


def test_a_new_layer_comes_between_its_neighbours() -> None:
    layers = sent((), layer("low", edit("a")), layer("high", edit("c")))
    assert [
        name
        for name, _ in shown(
            sent(layers, layer("low", edit("a")), layer("mid", edit("b")), layer("high", edit("c")))
        )
    ] == ["low", "mid", "high"]
    assert [
        name
        for name, _ in shown(
            sent(layers, layer("first", edit("b")), layer("low", edit("a")), layer("high", edit("c")))
        )
    ] == ["first", "low", "high"]


def test_the_order_of_layers_is_the_artists() -> None:
    layers = sent((), layer("low", edit("a")), layer("high", edit("c")))
    turned = layers[::-1]
    assert steps(turned, [layer("low", edit("a")), layer("high", edit("c"))], OWNER) == ()


def test_a_stroke_that_changed_layers_moves() -> None:
    layers = sent((), layer("one", edit("a"), edit("b")), layer("two", edit("c")))
    after = sent(layers, layer("one", edit("a")), layer("two", edit("b"), edit("c")))
    assert shown(after) == [("one", ["a"]), ("two", ["b", "c"])]


orders = st.permutations(range(7)).flatmap(
    lambda order: st.tuples(st.just(list(order)), st.integers(0, 7), st.integers(0, 7))
)


@given(orders, orders)
def test_any_order_becomes_any_other(
    before: tuple[list[int], int, int], after: tuple[list[int], int, int]
) -> None:
    def wanted(order: tuple[list[int], int, int]) -> list[EditLayer]:
        names, cut, end = order
        kept = [edit(str(name)) for name in names[: max(cut, end)]]
        return [layer(name, *edits) for name, edits in (("one", kept[:cut]), ("two", kept[cut:])) if edits]

    layers = sent((), *wanted(before))
    again = sent(layers, *wanted(after))
    full = [one for one in shown(again) if one[1]]
    assert sorted(ids for _, ids in full) == sorted(
        [one["id"].removeprefix(PREFIX) for one in each.edits] for each in wanted(after)
    )
    assert steps(again, wanted(after), OWNER) == ()


def test_a_documents_layers_take_the_steps() -> None:
    document = EditDocument("shot")
    for step in steps(document.layers, golden("layers").layers, OWNER):
        document.perform(step)
    assert len(document.layers) == 5
    assert document.waiting == 1
    document.undo()
    assert document.layers == ()
