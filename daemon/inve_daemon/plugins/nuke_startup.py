"""The few lines in ~/.nuke/init.py that tell Nuke of the plugin; all else in that file stays as it is.

They stand between two markers, at the end. Everything is done on bytes: whatever the file is encoded in, and
however its lines end, taking the lines out gives back the very bytes that were there before.
"""

import re
import stat
from pathlib import Path

from inve_client.errors import CallError, StorageError
from inve_daemon.plugins.owned_folder import replace_file

_BEGIN = "# >>> inve: of `inve-daemon install-plugin nuke`; with --uninstall it goes again"
_MADE = ", and this file with it"
_END = "# <<< inve"
# The line break before the first marker is part of it: it may have been needed to end the file's last line.
_BLOCKS = [
    re.compile(
        rb"(?:%b)?# >>> inve:(?P<about>[^\r\n]*)%b(?:(?!# >>> inve:)[^\r\n]*%b)*?# <<< inve(?:%b)?"
        % ((line_break,) * 4)
    )
    for line_break in (rb"\r\n", rb"\n")
]


def line_for(folder: Path) -> str:
    """What tells Nuke of a folder of plug-ins. In ASCII, which every encoding of a Python file has."""
    return f"nuke.pluginAddPath({folder.as_posix()!a})"


def add(startup: Path, folder: Path) -> bool:
    """Have a start-up file tell Nuke of a folder.

    Args:
        startup: an init.py, there or not.
        folder: with the plugin's own init.py in it.

    Returns:
        Whether the file was changed; False where it says so already.

    Raises:
        CallError: the markers in it are not in order.
        StorageError: it cannot be read or written.
    """
    before = _read(startup)
    rest, abouts = _without_block(startup, before or b"")
    # A link to a file that is not there yet is the user's.
    made = (before is None and not startup.is_symlink()) or any(_MADE.encode() in about for about in abouts)
    lines = ["", _BEGIN + (_MADE if made else ""), "import nuke", "", line_for(folder), _END, ""]
    line_break = "\r\n" if b"\r\n" in rest else "\n"
    after = rest + line_break.join(lines).encode("ascii")
    if after == before:
        return False
    _write(startup, after)
    return True


def take_out(startup: Path) -> bool:
    """Take the lines out again; a file that was made for them goes with them, if it has nothing else by now.

    Returns:
        Whether there was something to take out.

    Raises:
        CallError, StorageError: as `add`.
    """
    before = _read(startup)
    rest, abouts = _without_block(startup, before or b"")
    if not abouts:
        return False
    if not rest and any(_MADE.encode() in about for about in abouts):
        try:
            startup.unlink()
        except OSError as error:
            raise _cannot("removed", startup, error) from error
    else:
        _write(startup, rest)
    return True


def _without_block(startup: Path, text: bytes) -> tuple[bytes, list[bytes]]:
    """What is there besides our lines, and what the markers say."""
    abouts = []
    for block in _BLOCKS:
        while match := block.search(text):
            abouts.append(match["about"])
            before, after = text[: match.start()], text[match.end() :]
            # What was written after our lines is not to end up in the line before them.
            between = b"\n" if before and after and not before.endswith(b"\n") else b""
            text = before + between + after
    if b"# >>> inve:" in text or b"# <<< inve" in text:
        raise CallError(
            f"{startup} has one of INVE's two markers without the other; take what is left of its lines out "
            "by hand, and run this again."
        )
    return text, abouts


def _read(startup: Path) -> bytes | None:
    try:
        return startup.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _cannot("read", startup, error) from error


def _write(startup: Path, content: bytes) -> None:
    try:
        # Where it is a link, to a folder of settings under version control for instance, it stays one.
        real = startup.resolve()
        mode = stat.S_IMODE(real.stat().st_mode) if real.exists() else 0o644
        replace_file(real, content, mode)
    except OSError as error:
        raise _cannot("written", startup, error) from error


def _cannot(what: str, startup: Path, error: OSError) -> StorageError:
    return StorageError(f"{startup} cannot be {what}: {error.strerror or error}; check its permissions.")
