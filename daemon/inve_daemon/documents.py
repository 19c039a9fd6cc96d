"""EDITS.json on disk: read with its images' paths made absolute, written with its textures beside it."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from inve_client import Client
from inve_client.errors import CallError, StorageError
from inve_core.edits import EditStack, parse_stack
from inve_daemon import editing


def read_edits(path: Path) -> tuple[EditStack, list[str]]:
    """A stack from an EDITS.json, and the files of its textures, which it names relative to itself.

    Raises:
        CallError: the file cannot be read.
        inve_core.errors.EditError: it is no edit stack.
    """
    stack = parse_stack(read_file(path))
    folder = os.path.dirname(os.path.abspath(path))
    files = [image for image in editing.images_of(stack) if not image.startswith("sha256:")]
    absolute = {image: os.path.normpath(os.path.join(folder, image)) for image in files}
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
        StorageError: one of the files cannot be written.
    """
    stack = parse_stack(plain)
    folder = path.with_name(f"{path.stem}.textures")
    names: dict[str, str] = {}
    for address in editing.images_of(stack):
        texture = client.get_texture(address)
        name = address.removeprefix("sha256:") + texture.suffix
        with _storage_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        write_file(folder / name, texture.content)
        names[address] = f"{folder.name}/{name}"
    document = msgspec.json.encode(editing.plain(editing.with_images(stack, names)))
    write_file(path, msgspec.json.format(document, indent=2) + b"\n")
    return [folder / os.path.basename(name) for name in names.values()]


def read_file(path: Path) -> bytes:
    """The content of a file of a person's own command line.

    Raises:
        CallError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise CallError(f"{path} cannot be read: {error.strerror}; check the path.") from error


def write_file(path: Path, data: bytes) -> None:
    """Write a file whole: a failure leaves what was there.

    Raises:
        StorageError: it cannot be written.
    """
    with _storage_errors(path), _replacing(path) as temporary:
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
    with tempfile.TemporaryDirectory(dir=path.absolute().parent, prefix=".inve-") as folder:
        temporary = Path(folder) / path.name
        yield temporary
        os.replace(temporary, path)
