"""A folder of files that were put there, with a list of them: what is not in it is somebody else's."""

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from inve_client.errors import CallError, StorageError

LIST = "files-of-inve.txt"
"""Name of the list: a path below the folder in each line."""


def put(folder: Path, files: Mapping[str, bytes | Path]) -> None:
    """Put files into a folder of ours, in the place of those of the last time.

    Args:
        folder: made where it is missing.
        files: by their paths below it, with slashes: the content, or what to link to.

    Raises:
        CallError: the folder is there and is not ours, or has other files where a link is to be.
        StorageError: it cannot be written.
    """
    with _storage_errors(folder):
        if folder.is_symlink() or (
            folder.exists() and not (folder / LIST).is_file() and any(folder.iterdir())
        ):
            raise CallError(
                f"{folder} is there and was not put there by `inve-daemon install-plugin`; move it away, or "
                "name another folder with --to."
            )
        before = _listed(folder)
        for name, content in files.items():
            if isinstance(content, Path):
                _check_replaceable(folder, name, before)
        folder.mkdir(parents=True, exist_ok=True)
        # First, so that whatever is written is taken out again, also after a failure.
        _write(folder / LIST, "".join(f"{name}\n" for name in sorted({*before, *files})).encode())
        _remove(folder, [name for name in before if name not in files])
        for name, content in files.items():
            target = folder / name
            if _is_behind_link(folder, name):
                raise StorageError(f"{target} lies behind a link that is not INVE's; take that link away.")
            target.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, Path):
                _link(target, content)
            else:
                _write(target, content)
        _write(folder / LIST, "".join(f"{name}\n" for name in sorted(files)).encode())


def take_out(folder: Path) -> list[str] | None:
    """Remove what was put into a folder, and the folder with what Python compiled, once it is empty.

    Returns:
        What stays, since it was not put there; None where nothing ever was.

    Raises:
        StorageError: something cannot be removed.
    """
    if folder.is_symlink() or not (folder / LIST).is_file():
        return None
    with _storage_errors(folder):
        _remove(folder, _listed(folder))
        (folder / LIST).unlink()
        left = sorted(
            path.relative_to(folder).as_posix()
            for path in folder.rglob("*")
            if path.is_symlink() or not path.is_dir()
        )
        if not any(folder.iterdir()):
            folder.rmdir()
    return left


def _listed(folder: Path) -> list[str]:
    """The list's paths; one that would lead out of the folder is not of our making."""
    path = folder / LIST
    names = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return [
        name
        for name in names
        if name and not PurePosixPath(name).is_absolute() and ".." not in Path(name).parts
    ]


def _remove(folder: Path, names: list[str]) -> None:
    """Remove files, what Python compiled of them, and folders that are empty then."""
    parents = set()
    for name in names:
        path = folder / name
        if _is_behind_link(folder, name):
            continue
        if path.is_symlink() or path.is_file():
            path.unlink()
        parents |= {folder / parent for parent in PurePosixPath(name).parents}
        for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
            if path.suffix == ".py":
                compiled.unlink()
                parents.add(compiled.parent)
    for parent in sorted(parents - {folder}, key=lambda one: len(one.parts), reverse=True):
        if parent.is_dir() and not parent.is_symlink() and not any(parent.iterdir()):
            parent.rmdir()


def _check_replaceable(folder: Path, name: str, listed: list[str]) -> None:
    """A link takes the place of a folder only where nothing but our files is in that.

    Raises:
        CallError: something else is.
    """
    target = folder / name
    if target.is_symlink() or not target.is_dir():
        return
    for path in sorted(target.rglob("*")):
        ours = path.is_dir() and not path.is_symlink()
        if not ours and "__pycache__" not in path.parts and path.relative_to(folder).as_posix() not in listed:
            raise CallError(
                f"{target} must hold nothing but INVE's files to become a link, got {path}; move that away."
            )


def _is_behind_link(folder: Path, name: str) -> bool:
    """Whether a path below the folder goes through a link, and so is a file of elsewhere."""
    parents = PurePosixPath(name).parents
    return any((folder / parent).is_symlink() for parent in list(parents)[:-1])


def _write(path: Path, content: bytes) -> None:
    replace_file(path, content, mode=0o644)


def replace_file(path: Path, content: bytes, mode: int) -> None:
    """Write a file beside and give it its name: it is there whole, or as it was.

    Raises:
        OSError: it cannot be written.
    """
    number, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(number, "wb") as file:
            file.write(content)
        os.chmod(temporary, mode)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _link(path: Path, target: Path) -> None:
    if path.is_symlink() or path.is_file():
        path.unlink()
    path.symlink_to(target, target_is_directory=target.is_dir())


@contextlib.contextmanager
def _storage_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        named = f" ({error.filename})" if error.filename else ""
        reason = error.strerror or str(error)
        raise StorageError(
            f"The plugin in {folder} cannot be written: {reason}{named}; close the host, check permissions, "
            "or name another folder with --to."
        ) from error
