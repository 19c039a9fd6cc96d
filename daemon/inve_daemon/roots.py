"""Which paths a client may name: only what lies under the daemon's roots once every link is resolved.

A path is checked twice: as named, before anything is looked at, and file by file in the worker, because a
file inside a root may be a link to outside of it, and because folders can be swapped in between.
"""

import os
import stat
import sys
from collections.abc import Iterable

from inve_client.errors import PathRefused

_MAGIC = frozenset("*?[")


class Roots:
    """Folders and files that may be read and written.

    Args:
        folders: resolved already, once: a folder that becomes a link later leads nowhere new.
    """

    def __init__(self, folders: Iterable[str]) -> None:
        self.folders = tuple(folders)

    @classmethod
    def resolve(cls, folders: Iterable[str]) -> "Roots":
        """Roots from paths as people name them."""
        return cls(dict.fromkeys(os.path.realpath(folder) for folder in folders))

    def admit(self, path: str, what: str) -> str:
        """A path that names one file or folder (which may not exist yet), with its links resolved.

        Args:
            path: absolute, as the client named it.
            what: what it is for, for the message: "the frames".

        Raises:
            PathRefused: it is relative, or lies outside the roots.
        """
        if not os.path.isabs(path) or "\0" in path:
            raise PathRefused(f"{what} must be an absolute path on the daemon's machine, got {path!r}.")
        real = os.path.realpath(path)
        if not any(_inside(real, root) for root in self.folders):
            raise PathRefused(self._outside(path, what))
        return real

    def admit_pattern(self, pattern: str, what: str) -> str:
        """A pattern of frames, with the folder before its first wildcard resolved.

        Raises:
            PathRefused: it is relative, leads outside the roots, or climbs with `..` after a wildcard.
        """
        if not os.path.isabs(pattern) or "\0" in pattern:
            raise PathRefused(f"{what} must be an absolute path on the daemon's machine, got {pattern!r}.")
        # Without wildcard and suffix it names a folder, which for an output need not exist yet.
        plain = not any(sign in pattern for sign in _MAGIC)
        if os.path.lexists(pattern) or (plain and not os.path.splitext(pattern)[1]):
            return self.admit(pattern, what)
        head, tail = _split_at_wildcard(pattern)
        if ".." in tail.replace("\\", "/").split("/"):
            raise PathRefused(f"{what} may not contain '..' after a wildcard, got {pattern!r}.")
        # A root that is a file admits itself only, so the folder of a pattern needs a root that is a folder.
        return os.path.join(self.admit(head, what), tail)

    def admit_file(self, path: str, what: str) -> str:
        """An existing ordinary file.

        Raises:
            PathRefused: it lies outside the roots, or is a device, a pipe or a socket.
        """
        real = self.admit(path, what)
        try:
            mode = os.stat(real).st_mode
        except OSError as error:
            raise PathRefused(f"{what} {path!r} cannot be read: {error.strerror}; check the path.") from error
        if not stat.S_ISREG(mode):
            raise PathRefused(f"{what} {path!r} must be an ordinary file; name one picture or movie.")
        return real

    def _outside(self, path: str, what: str) -> str:
        allowed = ", ".join(self.folders[:8]) + (", ..." if len(self.folders) > 8 else "")
        return (
            f"{what} {path!r} is outside the folders that this daemon may use ({allowed or 'none'}); "
            f"start `inve-daemon serve` with --root for its folder."
        )


def _split_at_wildcard(pattern: str) -> tuple[str, str]:
    folder, name = os.path.split(pattern)
    tail = [name]
    while any(sign in _MAGIC for sign in folder):
        folder, name = os.path.split(folder)
        tail.insert(0, name)
    return folder, os.path.join(*tail)


def _inside(real: str, root: str) -> bool:
    if sys.platform == "win32":
        real, root = os.path.normcase(real), os.path.normcase(root)
    return real == root or real.startswith(root.rstrip(os.sep) + os.sep)


def own_roots(paths: Iterable[str]) -> tuple[str, ...]:
    """The roots that a person's own command line stands for; for a private daemon, never for clients' paths.

    Besides the folder of each path these are the folders that links in it lead to: who starts the daemon on
    a folder of links means what they lead to.
    """
    found: list[str] = []
    for path in paths:
        absolute = os.path.abspath(path)
        folder = absolute if os.path.isdir(absolute) else _split_at_wildcard(absolute)[0]
        found.append(folder)
        if os.path.isdir(folder):
            with os.scandir(folder) as entries:
                links = [entry.path for entry in entries if entry.is_symlink()]
            found += [os.path.dirname(os.path.realpath(link)) for link in links]
    return tuple(dict.fromkeys(found))


def output_root(path: str) -> str:
    """The root that an output on a person's own command line stands for: its folder, there or not."""
    absolute = os.path.abspath(path)
    return os.path.dirname(absolute) if os.path.splitext(absolute)[1] else absolute
