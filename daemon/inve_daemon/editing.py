"""Changes of an edit stack as functions from stack to stack; nothing here knows the wire or the store."""

import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from inve_client.errors import EditError
from inve_core.edits import Edit, EditLayer, EditStack, Texture, parse_stack, stack_to_builtins
from inve_daemon.ordering import Order
from inve_daemon.schema import EditPatch, LayerPatch

_STACK_PATH = re.compile(r"`layers\[(\d+)\](?:\.edits\[(\d+)\])?([^`]*)`")


def new_id() -> str:
    """An id for an edit or a layer."""
    return uuid.uuid4().hex[:12]


def decode(data: bytes) -> EditStack:
    """A stack from the store; b"" is the empty one."""
    return parse_stack(data) if data else EditStack()


def plain(stack: EditStack) -> dict[str, Any]:
    """The stack as EDITS.json has it, as plain data."""
    return stack_to_builtins(stack)


def ids_of(stack: EditStack) -> list[str]:
    """Ids of all edits in the stack's order."""
    return [str(edit.id) for layer in stack.layers for edit in layer.edits]


def patched(
    stack: EditStack, layers: Sequence[LayerPatch], edits: Sequence[EditPatch]
) -> tuple[EditStack, list[str]]:
    """The stack after a patch, and the ids of the patch's edits in order.

    Layers are changed one after the other, then edits, each as the stack stands by then.

    Args:
        stack: one whose edits all have ids, as `checked` gives them.
        layers: new layers, or changes of known ones.
        edits: new edits, replacements of known ones, or moves.

    Raises:
        EditError: a layer, edit or position that is not there, or a name that is taken.
    """
    found = list(stack.layers)
    for number, patch in enumerate(layers):
        _patch_layer(found, patch, f"layers[{number}]")
    homes = {layer.name: number for number, layer in enumerate(found)}
    # Ids and edits apart, so that replacing one of many edits costs no search.
    orders = [Order([str(edit.id) for edit in layer.edits]) for layer in found]
    known = {str(edit.id): edit for layer in found for edit in layer.edits}
    home_of = {one: number for number, order in enumerate(orders) for one in order}
    ids = []
    for number, item in enumerate(edits):
        path = f"edits[{number}]"
        if item.layer not in homes:
            raise EditError(
                f"`{path}.layer` is {item.layer!r}, the stack has {_listed(homes)}; "
                f"name a layer of it or add one in `layers`."
            )
        edit = _patch_edit(item, known, path)
        one, home = str(edit.id), homes[item.layer]
        ids.append(one)
        known[one] = edit
        if home_of.get(one) == home and item.position is None:
            continue
        if one in home_of:
            orders[home_of[one]].remove(one)
        order = orders[home]
        order.insert(_position(item.position, len(order), path, f"in layer {item.layer!r}"), one)
        home_of[one] = home
    changed = (
        msgspec.structs.replace(layer, edits=tuple(known[one] for one in order))
        for layer, order in zip(found, orders, strict=True)
    )
    return EditStack(layers=tuple(changed)), ids


def said_of_patch(
    message: str,
    stack: EditStack,
    layers: Sequence[LayerPatch],
    edits: Sequence[EditPatch],
    ids: Sequence[str],
) -> str:
    """What is wrong with the stack after a patch, in the fields of the patch where it has brought them.

    Args:
        message: with paths of the stack in backticks, such as `layers[0].edits[2].width`.
        stack: the stack after the patch.
        layers, edits: the patch.
        ids: of the patch's edits, as `patched` gives them.
    """
    settings: dict[str, int] = {}
    for number, patch in enumerate(layers):
        settings.pop(patch.name, None)
        settings[patch.rename or patch.name] = number
    brought = {one: number for number, one in enumerate(ids) if edits[number].edit is not None}

    def of_patch(found: re.Match[str]) -> str:
        layer = stack.layers[int(found[1])]
        if found[2] is None:
            name = found[3].removeprefix(".")
            number = settings.get(layer.name)
            if number is not None and name == "name" and layers[number].rename is not None:
                return f"`layers[{number}].rename`"
            if number is not None and (not name or getattr(layers[number], name, None) is not None):
                return f"`layers[{number}]{found[3]}`"
        else:
            number = brought.get(str(layer.edits[int(found[2])].id))
            if number is not None:
                return f"`edits[{number}].edit{found[3]}`"
        return f"{found[0]} in the stack after the patch"

    return _STACK_PATH.sub(of_patch, message)


def _patch_layer(layers: list[EditLayer], patch: LayerPatch, path: str) -> None:
    """Add a layer, or change one where it is."""
    given = {
        name: value
        for name in ("kind", "blend", "opacity", "enabled", "solo", "video_layer")
        if (value := getattr(patch, name)) is not None
    }
    number = next((number for number, layer in enumerate(layers) if layer.name == patch.name), None)
    if number is None and "kind" not in given:
        raise EditError(f"The new layer {patch.name!r} needs a `kind`: sketch, texture or adjustment.")
    if patch.rename is not None:
        if number is None:
            raise EditError(
                f"`{path}.rename` is {patch.rename!r}, but there is no layer {patch.name!r} to rename; "
                "give a new layer its `name`."
            )
        if any(layer.name == patch.rename for layer in layers if layer.name != patch.name):
            raise EditError(
                f"`{path}.rename` is {patch.rename!r}, which another layer is called already; choose another."
            )
        given["name"] = patch.rename
    if number is None:
        layer = EditLayer(name=patch.name, **given)
        layers.insert(_position(patch.position, len(layers), path, "in the stack"), layer)
        return
    layer = msgspec.structs.replace(layers.pop(number), **given)
    target = number if patch.position is None else patch.position
    layers.insert(_position(target, len(layers), path, "in the stack"), layer)


def _patch_edit(item: EditPatch, known: Mapping[str, Edit], path: str) -> Edit:
    """The edit that a patch means, with an id."""
    if item.edit is not None and item.id is None:
        return item.edit if item.edit.id is not None else msgspec.structs.replace(item.edit, id=new_id())
    if item.id is None or item.edit is not None:
        came = "neither" if item.id is None else "both"
        raise EditError(
            f"`{path}` must have `edit`, or the `id` of one to move, got {came}; give one of the two."
        )
    if item.id not in known:
        raise EditError(
            f"`{path}.id` is {item.id!r}, which no edit of the stack has; fetch the shot's edits again."
        )
    return known[item.id]


def _position(position: int | None, count: int, path: str, where: str) -> int:
    """Where to insert among `count` others; on top of them by default."""
    if position is not None and position > count:
        raise EditError(
            f"`{path}.position` must be 0 to {count} {where}, got {position}; choose one of these."
        )
    return count if position is None else position


def without(stack: EditStack, edits: Sequence[str], layers: Sequence[str]) -> EditStack:
    """The stack without some edits and layers.

    Raises:
        EditError: one of them is not there.
    """
    names = {layer.name for layer in stack.layers}
    known = set(ids_of(stack))
    for what, wanted, there in (("edit", edits, known), ("layer", layers, names)):
        missing = [one for one in wanted if one not in there]
        if missing:
            raise EditError(f"There is no {what} {missing[0]!r} in the stack; fetch the shot's edits again.")
    gone, gone_layers = set(edits), set(layers)
    return EditStack(
        layers=tuple(
            msgspec.structs.replace(layer, edits=tuple(edit for edit in layer.edits if edit.id not in gone))
            for layer in stack.layers
            if layer.name not in gone_layers
        )
    )


def images_of(stack: EditStack) -> dict[str, str]:
    """Every image that textures name, paths and addresses, with the field that names it first."""
    found: dict[str, str] = {}
    for number, layer in enumerate(stack.layers):
        for index, edit in enumerate(layer.edits):
            if isinstance(edit, Texture):
                found.setdefault(edit.image, f"layers[{number}].edits[{index}].image")
    return found


def with_images(stack: EditStack, names: Mapping[str, str]) -> EditStack:
    """The stack with some of its textures' images under other names."""
    if not names:
        return stack

    def renamed(edit: Edit) -> Edit:
        if not isinstance(edit, Texture) or edit.image not in names:
            return edit
        return msgspec.structs.replace(edit, image=names[edit.image])

    return _with_edits(stack, renamed)


def shifted(stack: EditStack, frames: int) -> EditStack:
    """The stack for a shot whose frame numbers are higher by `frames`; everything keeps its id."""
    return _with_edits(stack, lambda edit: msgspec.structs.replace(edit, frame=edit.frame + frames))


def _with_edits(stack: EditStack, change: Callable[[Edit], Edit]) -> EditStack:
    return EditStack(
        layers=tuple(
            msgspec.structs.replace(layer, edits=tuple(change(edit) for edit in layer.edits))
            for layer in stack.layers
        )
    )


def _listed(names: Mapping[str, object]) -> str:
    return ", ".join(map(repr, list(names)[:8])) or "no layers"
