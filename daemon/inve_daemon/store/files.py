"""Content-addressed files of the store: models, checkpoints, textures. Used by the daemon and by its worker.

A file is written to a temporary name, synced, renamed to the SHA-256 of its content, and its folder synced;
only then may the database name it. A folder of files (a model) is addressed by the digest of its listing.
"""

import contextlib
import hashlib
import os
import re
import shutil
import sys
import uuid
from collections.abc import Container, Iterator
from pathlib import Path

from inve_client.errors import CheckpointError, TooLarge
from inve_daemon.store.database import storage_errors

ADDRESS = re.compile(r"sha256:([0-9a-f]{64})")
_SUFFIX = re.compile(r"\.[a-z0-9]{1,5}")
_CHUNK_BYTES = 1 << 20


class ContentFiles:
    """The `objects` and `incoming` folders of a store.

    Args:
        folder: the store's folder.
    """

    def __init__(self, folder: Path) -> None:
        self.objects = folder / "objects"
        self.incoming = folder / "incoming"

    def create(self) -> None:
        """Make the folders, and drop what a crash left half written."""
        with storage_errors(f"The store {self.objects.parent}"):
            self.objects.mkdir(mode=0o700, parents=True, exist_ok=True)
            shutil.rmtree(self.incoming, ignore_errors=True)
            self.incoming.mkdir(mode=0o700, parents=True, exist_ok=True)

    def new_folder(self) -> Path:
        """An empty folder to write a model to, before `adopt_folder`."""
        folder = self.incoming / uuid.uuid4().hex
        with storage_errors("A model"):
            folder.mkdir(mode=0o700)
        return folder

    def adopt_folder(self, folder: Path) -> str:
        """Take a folder of files, as made by `new_folder`, into the store.

        Returns:
            Its address, "sha256:...".

        Raises:
            StorageError: no space, no permission.
        """
        listing = []
        with storage_errors("A model"):
            for path in sorted(folder.iterdir()):
                _sync(path)
                listing.append(f"{path.name} {path.stat().st_size} {_digest(path)}\n")
            sync_folder(folder)
            name = hashlib.sha256("".join(listing).encode()).hexdigest()
            target = self._place(name)
            if target.exists():
                shutil.rmtree(folder, ignore_errors=True)
            else:
                os.rename(folder, target)
                sync_folder(target.parent)
        return f"sha256:{name}"

    def put_file(self, source: str, max_bytes: int) -> str:
        """Copy a file into the store.

        Returns:
            Its address, "sha256:...".

        Raises:
            TooLarge: it has more than `max_bytes`.
            StorageError: no space, no permission.
        """
        temporary = self.incoming / uuid.uuid4().hex
        digest, size = hashlib.sha256(), 0
        with storage_errors(f"A copy of {source!r}"):
            try:
                with open(source, "rb") as old, open(temporary, "xb") as new:
                    while chunk := old.read(_CHUNK_BYTES):
                        size += len(chunk)
                        if size > max_bytes:
                            raise TooLarge(
                                f"{source!r} has more than {max_bytes >> 20} MiB; make it smaller."
                            )
                        digest.update(chunk)
                        new.write(chunk)
                    new.flush()
                    os.fsync(new.fileno())
                address = f"sha256:{digest.hexdigest()}"
                if self.find(address) is None:
                    # Readers of some formats go by the suffix, so it is kept.
                    suffix = Path(source).suffix.lower()
                    target = self._place(digest.hexdigest() + (suffix if _SUFFIX.fullmatch(suffix) else ""))
                    os.rename(temporary, target)
                    sync_folder(target.parent)
            finally:
                temporary.unlink(missing_ok=True)
        return address

    def find(self, address: str) -> Path | None:
        """Where an object lies, or None where there is none of that address."""
        match = ADDRESS.fullmatch(address)
        if match is None:
            return None
        folder = self.objects / match[1][:2]
        exact = folder / match[1]
        if exact.exists():
            return exact
        return next(folder.glob(f"{match[1]}.*"), None)

    def path(self, address: str) -> Path:
        """Where an object lies.

        Raises:
            CheckpointError: the store does not have it.
        """
        found = self.find(address)
        if found is None:
            raise CheckpointError(
                f"The store's file {address} is missing; restore it from a backup or train again."
            )
        return found

    def remove(self, address: str) -> None:
        """Drop an object that the database names no more; if it cannot be dropped, the next sweep will."""
        found = self.find(address)
        if found is not None:
            _remove(found)

    def sweep(self, named: Container[str]) -> int:
        """Drop every object that the database does not name; returns how many."""
        dropped = 0
        for path in list(self._all()):
            if f"sha256:{path.name[:64]}" not in named:
                _remove(path)
                dropped += 1
        return dropped

    def _all(self) -> Iterator[Path]:
        for folder in self.objects.iterdir():
            if folder.is_dir():
                yield from folder.iterdir()

    def _place(self, name: str) -> Path:
        folder = self.objects / name[:2]
        if not folder.exists():
            folder.mkdir(mode=0o700, exist_ok=True)
            sync_folder(self.objects)
        return folder / name


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        digest = hashlib.sha256()
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _sync(path: Path) -> None:
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Make a folder's list of names last: a new name in it could else be gone after a power cut."""
    if sys.platform == "win32":
        return  # NTFS journals renames; there is no way to sync a folder
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
