"""EDITS.json on disk: read with its images' paths made absolute, written with its textures beside it."""

import contextlib
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from inve_client import Client
from inve_client.errors import CallError, EditError, StorageError
from inve_core.edits import EditStack, parse_stack
from inve_daemon import editing

_TEXTURES = ".textures"


def read_edits(path: Path) -> tuple[EditStack, list[str]]:
    """A stack from an EDITS.json, and the files of its textures, which it names relative to itself.

    Raises:
        CallError: the file cannot be read.
        inve_core.errors.EditError: it is no edit stack.
    """
    stack = parse_stack(read_file(path))
    folder = os.path.dirname(os.path.realpath(path))
    files = [image for image in editing.images_of(stack) if not image.startswith("sha256:")]
    # Not normalised: what `..` goes up from may be a link.
    absolute = {image: os.path.join(folder, image) for image in files}
    return editing.with_images(stack, absolute), list(absolute.values())


def write_edits(client: Client, plain: dict[str, Any], path: Path) -> list[Path]:
    """Write a stack as EDITS.json, and the textures that it names into `<stem>.textures/` beside it.

    Textures are written first and named by their content: a document that is there already, and the textures
    that it names, stay whole until the new one takes its place.

    Args:
        client: where the textures are stored.
        plain: the stack as the daemon gives it.
        path: the document to write.

    Returns:
        The textures' files.

    Raises:
        CallError: the path is not one for a document.
        EditError: a texture is not there any more.
        StorageError: one of the files cannot be written.
    """
    path = output_document(path)
    stack = parse_stack(plain)
    folder = path.with_suffix(_TEXTURES)
    names: dict[str, str] = {}
    for address, field in editing.images_of(stack).items():
        try:
            texture = client.get_texture(address)
        except EditError as error:
            raise EditError(
                f"`{field}` is {address!r}, which is not in the daemon's store; "
                "put that edit with its file again."
            ) from error
        name = address.removeprefix("sha256:") + texture.suffix
        with _storage_errors(folder):
            folder.mkdir(exist_ok=True)
        write_file(folder / name, texture.content)
        names[address] = f"{folder.name}/{name}"
    write_file(path, _document(editing.plain(editing.with_images(stack, names))))
    return [folder / os.path.basename(name) for name in names.values()]


def _document(plain: dict[str, Any]) -> bytes:
    """A stack as JSON with a line for each layer and edit, hardly larger than without spaces."""
    layers = []
    for layer in plain["layers"]:
        edits = b",".join(b"\n    " + msgspec.json.encode(edit) for edit in layer["edits"])
        settings = msgspec.json.encode({name: value for name, value in layer.items() if name != "edits"})
        layers.append(b"\n  " + settings[:-1] + b',"edits":[' + edits + b"]}")
    return b'{"version":%d,"layers":[' % plain["version"] + b",".join(layers) + b"]}\n"


def read_file(path: Path) -> bytes:
    """The content of a file of a person's own command line.

    Raises:
        CallError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise CallError(f"{path} cannot be read: {error.strerror}; check the path.") from error


def output_document(path: Path) -> Path:
    """Where an EDITS.json is written that a person names; as `output_file`, with a place for textures beside.

    Raises:
        CallError, StorageError: as `output_file`, or it has the name of that place.
    """
    target = output_file(path)
    if target.suffix.lower() == _TEXTURES:
        raise CallError(f"{path} must not end in {_TEXTURES}, as the textures' folder does; name it .json.")
    return target


def output_file(path: Path) -> Path:
    """Where a file is written that a person names: where a link leads, and in the place of a file only.

    Raises:
        CallError: something is there that is no file, such as a folder or a pipe.
        StorageError: there is no folder for it.
    """
    with _storage_errors(path):
        target = Path(os.path.realpath(path)) if path.is_symlink() else path
        os.stat(target.parent)
        try:
            mode = os.stat(target).st_mode
        except FileNotFoundError:
            return target
    if not stat.S_ISREG(mode):
        raise CallError(f"{path} is there and is no ordinary file; choose another --out.")
    return target


def write_file(path: Path, data: bytes) -> None:
    """Write a file whole: a failure leaves what was there.

    Raises:
        CallError: the path is not one for a file.
        StorageError: it cannot be written.
    """
    target = output_file(path)
    with _storage_errors(path), _replacing(target) as temporary:
        temporary.write_bytes(data)


@contextlib.contextmanager
def _storage_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(f"{path} could not be written: {error.strerror}; choose another --out.") from error


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """A temporary file beside `path` that takes its place at the end."""
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".inve-") as folder:
        temporary = Path(folder) / path.name
        yield temporary
        os.replace(temporary, path)
