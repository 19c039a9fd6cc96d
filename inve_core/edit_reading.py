"""Edit stacks read one after the other that mostly stay as they were, as while someone paints."""

from typing import Any

import msgspec
from msgspec import UNSET, Raw, Struct

from inve_core.edits import MAX_EDITS, Edit, EditLayer, EditStack, parse_stack
from inve_core.errors import EditError

_SETTINGS = [name for name in EditLayer.__struct_fields__ if name != "edits"]
# An edit layer whose fields are still JSON, and its edits apart.
_RawLayer: Any = msgspec.defstruct(
    "_RawLayer",
    [("edits", list[Raw], msgspec.field(default_factory=list)), *((name, Raw, UNSET) for name in _SETTINGS)],
    forbid_unknown_fields=True,
    kw_only=True,
)
_Key = tuple[bytes, bytes, bytes]


class _RawStack(Struct, forbid_unknown_fields=True, kw_only=True):
    layers: list[_RawLayer]
    version: Raw | msgspec.UnsetType = UNSET


class StackReader:
    """`parse_stack`, but an edit that was in the stack before is the same object again.

    It is not decoded and checked once more, and whoever compares stacks sees at once that it is the same.
    """

    def __init__(self) -> None:
        # By an edit's JSON, and what of its layer's `parse_stack` holds it against.
        self._known: dict[_Key, Edit] = {}

    def read(self, data: bytes) -> EditStack:
        """A stack from JSON.

        Raises:
            EditError: as `parse_stack` has it.
        """
        try:
            stack, self._known = self._read(data)
        # Whatever is wrong or unusual, the whole document tells it better.
        except (EditError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return parse_stack(data)
        return stack

    def _read(self, data: bytes) -> tuple[EditStack, dict[_Key, Edit]]:
        raw = msgspec.json.decode(data, type=_RawStack)
        keys = [_keys(layer) for layer in raw.layers]
        fresh = [[key for key in own if key not in self._known] for own in keys]
        for layer, own in zip(raw.layers, fresh, strict=True):
            layer.edits = [Raw(key[0]) for key in own]
        # The same document with only those edits that are new.
        stack = parse_stack(msgspec.json.encode(raw))
        known: dict[_Key, Edit] = {}
        layers = []
        for layer, own, new in zip(stack.layers, keys, fresh, strict=True):
            made = dict(zip(new, layer.edits, strict=True))
            edits = tuple(made.get(key) or self._known[key] for key in own)
            known.update(zip(own, edits, strict=True))
            layers.append(msgspec.structs.replace(layer, edits=edits))
        ids = [item.id for layer in layers for item in (layer, *layer.edits) if item.id is not None]
        if len(set(ids)) < len(ids) or len(known) < sum(map(len, keys)) or len(known) > MAX_EDITS:
            raise EditError("The edits are unusual as a whole.")
        return msgspec.structs.replace(stack, layers=tuple(layers)), known


def _keys(layer: Any) -> list[_Key]:
    kind, video_layer = (b"" if one is UNSET else bytes(one) for one in (layer.kind, layer.video_layer))
    return [(bytes(edit), kind, video_layer) for edit in layer.edits]
