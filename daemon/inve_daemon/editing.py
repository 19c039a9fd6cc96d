"""Changes of an edit stack as functions from stack to stack; nothing here knows the wire or the store."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from inve_client.errors import EditError
from inve_core.edits import Edit, EditLayer, EditStack, Texture, parse_stack, stack_to_builtins, with_ids
from inve_daemon.schema import EditPatch, LayerPatch


def new_id() -> str:
    """An id for an edit or a layer."""
    return uuid.uuid4().hex[:12]


def encode(stack: EditStack) -> bytes:
    """The stack as JSON, as the store keeps it."""
    return msgspec.json.encode(stack)


def decode(data: bytes) -> EditStack:
    """A stack from the store; b"" is the empty one."""
    return parse_stack(data) if data else EditStack()


def plain(stack: EditStack) -> dict[str, Any]:
    """The stack as EDITS.json has it, as plain data."""
    return stack_to_builtins(stack)


def checked(stack: EditStack) -> EditStack:
    """The stack with an id for everything, once it is consistent (unique names and ids, layers of one kind).

    Raises:
        inve_core.errors.EditError: it is not.
    """
    return with_ids(parse_stack(encode(stack)), new_id)


def ids_of(stack: EditStack) -> list[str]:
    """Ids of all edits in the stack's order."""
    return [str(edit.id) for layer in stack.layers for edit in layer.edits]


def patched(
    stack: EditStack, layers: Sequence[LayerPatch], edits: Sequence[EditPatch]
) -> tuple[EditStack, list[str]]:
    """The stack after a patch, and the ids of the patch's edits in order.

    Raises:
        EditError: an unknown layer, or an edit that would move to another layer.
    """
    by_name = {layer.name: layer for layer in stack.layers}
    for patch in layers:
        by_name[patch.name] = _patched_layer(by_name.get(patch.name), patch)
    home = {edit.id: layer.name for layer in by_name.values() for edit in layer.edits}
    contents: dict[str, list[Edit]] = {name: list(layer.edits) for name, layer in by_name.items()}
    places = {edit.id: index for edits_of in contents.values() for index, edit in enumerate(edits_of)}
    ids = []
    for number, item in enumerate(edits):
        if item.layer not in by_name:
            raise EditError(
                f"`edits[{number}].layer` is {item.layer!r}, the stack has {_listed(by_name)}; "
                f"name a layer of it or add one in `layers`."
            )
        edit = item.edit if item.edit.id is not None else msgspec.structs.replace(item.edit, id=new_id())
        ids.append(str(edit.id))
        if edit.id not in home:
            home[edit.id], places[edit.id] = item.layer, len(contents[item.layer])
            contents[item.layer].append(edit)
        elif home[edit.id] == item.layer:
            contents[item.layer][places[edit.id]] = edit
        else:
            raise EditError(
                f"`edits[{number}].edit.id` is {edit.id!r}, which is in layer {home[edit.id]!r}; "
                f"remove it there first."
            )
    changed = (msgspec.structs.replace(layer, edits=tuple(contents[name])) for name, layer in by_name.items())
    return EditStack(layers=tuple(changed)), ids


def _patched_layer(layer: EditLayer | None, patch: LayerPatch) -> EditLayer:
    given = {
        name: value
        for name in ("kind", "blend", "opacity", "enabled")
        if (value := getattr(patch, name)) is not None
    }
    if layer is not None:
        return msgspec.structs.replace(layer, **given)
    if "kind" not in given:
        raise EditError(f"The new layer {patch.name!r} needs a `kind`: sketch, texture or adjustment.")
    return EditLayer(name=patch.name, **given)


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


def images_of(stack: EditStack) -> list[str]:
    """Every image that textures name, once each: paths and addresses."""
    named = [edit.image for layer in stack.layers for edit in layer.edits if isinstance(edit, Texture)]
    return list(dict.fromkeys(named))


def with_images(stack: EditStack, names: Mapping[str, str]) -> EditStack:
    """The stack with some of its textures' images under other names."""
    return EditStack(
        layers=tuple(
            msgspec.structs.replace(
                layer,
                edits=tuple(
                    msgspec.structs.replace(edit, image=names.get(edit.image, edit.image))
                    if isinstance(edit, Texture)
                    else edit
                    for edit in layer.edits
                ),
            )
            for layer in stack.layers
        )
    )


def _listed(names: Mapping[str, object]) -> str:
    return ", ".join(map(repr, list(names)[:8])) or "no layers"
