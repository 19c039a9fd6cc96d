"""Edit stacks on their way into the store: checked, and written down, where they have changed."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from inve_client.errors import TooLarge
from inve_core import edit_versions
from inve_core.edits import MAX_EDITS, Edit, EditLayer, EditStack, check_stack, parse_stack, with_ids
from inve_core.errors import EditError
from inve_daemon.editing import new_id

MAX_STACK_BYTES = 96 << 20
"""Most that a shot's edits may have, as JSON and as msgpack: less than one request, one answer and one
document carry, so that what was accepted also comes back and goes in again."""
# As msgpack none has more than so many times the bytes of its JSON: a number has 9, not 4 with its comma.
_MSGPACK_A_JSON = 3


class _Kept(NamedTuple):
    """An edit that was checked, what of its layer it was checked against, and how it is written."""

    edit: Edit
    kind: str
    video_layer: str
    data: bytes
    version: int


class StackKeeper:
    """Checks stacks and writes them down, one after the other.

    An edit that is the same object as in the stack before, of the same shot, is not checked and written once
    more: while an artist paints, all but one are.
    """

    def __init__(self) -> None:
        self._picture: Mapping[str, Any] | None = None
        self._kept: dict[str, _Kept] = {}

    def checked(self, stack: EditStack, picture: Mapping[str, Any] | None = None) -> tuple[EditStack, bytes]:
        """The stack with an id for everything, once it is consistent: unique names, layers of one kind.

        Args:
            stack: it may have been put together from valid parts, and so be none as a whole.
            picture: of the shot, as keywords of `check_stack`, to hold it against.

        Returns:
            The stack, and as the store keeps it: JSON of the lowest version that can say it, which an earlier
            release reads too, or b"" for the empty one.

        Raises:
            inve_core.errors.EditError: it is not, or does not fit the shot.
            TooLarge: what is kept of it could not be got back.
        """
        if picture != self._picture:
            self._picture, self._kept = picture, {}
        stack = with_ids(stack, new_id)
        try:
            fresh = _parsed(self._only_new(stack), picture)
            _check_together(stack)
        except EditError:
            # What is wrong is said of the whole, with its paths.
            _parsed(stack, picture)
            raise
        kept: dict[str, _Kept] = {}
        layers, written, version = [], [], 1
        for layer, new in zip(stack.layers, fresh.layers, strict=True):
            changed = {edit.id: _kept(layer, edit) for edit in new.edits}
            own = [
                changed[edit.id] if edit.id in changed else self._kept[str(edit.id)] for edit in layer.edits
            ]
            kept.update((str(one.edit.id), one) for one in own)
            layers.append(msgspec.structs.replace(new, edits=tuple(one.edit for one in own)))
            plain: dict[str, Any] = msgspec.to_builtins(msgspec.structs.replace(new, edits=()))
            version = max(version, edit_versions.lowest_layer(plain), *(one.version for one in own))
            del plain["edits"]
            head = msgspec.json.encode(plain).removesuffix(b"}")
            written.append(head + b',"edits":[' + b",".join(one.data for one in own) + b"]}")
        stack = EditStack(layers=tuple(layers))
        data = b'{"version":%d,"layers":[%s]}' % (version, b",".join(written)) if layers else b""
        _check_size(stack, data)
        self._kept = kept
        return stack, data

    def _only_new(self, stack: EditStack) -> EditStack:
        """The stack without the edits that are kept."""

        def is_new(layer: EditLayer, edit: Edit) -> bool:
            one = self._kept.get(str(edit.id))
            return one is None or one.edit is not edit or one[1:3] != (layer.kind, layer.video_layer)

        layers = (
            msgspec.structs.replace(layer, edits=tuple(edit for edit in layer.edits if is_new(layer, edit)))
            for layer in stack.layers
        )
        return EditStack(layers=tuple(layers))


def _kept(layer: EditLayer, edit: Edit) -> _Kept:
    plain: dict[str, Any] = msgspec.to_builtins(edit)
    version = edit_versions.lowest_edit(plain)
    return _Kept(edit, layer.kind, layer.video_layer, msgspec.json.encode(plain), version)


def _parsed(stack: EditStack, picture: Mapping[str, Any] | None) -> EditStack:
    """The stack, decoded and checked as one that comes from outside."""
    stack = parse_stack(msgspec.to_builtins(stack))
    if picture is not None:
        check_stack(stack, **picture)
    return stack


def _check_together(stack: EditStack) -> None:
    """Raise where valid edits are not valid together; `parse_stack` says how."""
    ids = [edit.id for layer in stack.layers for edit in (layer, *layer.edits)]
    if len(set(ids)) < len(ids) or len(ids) - len(stack.layers) > MAX_EDITS:
        raise EditError("The edits are no stack.")


def _check_size(stack: EditStack, data: bytes) -> None:
    size = len(data)
    if size * _MSGPACK_A_JSON > MAX_STACK_BYTES:
        size = max(size, len(msgspec.msgpack.encode(stack)))
    if size > MAX_STACK_BYTES:
        raise TooLarge(
            f"The edits of a shot may have {MAX_STACK_BYTES >> 20} MiB, "
            f"these come to {size / 2**20:.1f} MiB; use fewer points, or split them over several shots."
        )
